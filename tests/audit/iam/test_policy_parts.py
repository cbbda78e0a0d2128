"""A long policy in parts: each short enough, and together the same."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.audit.iam import Attached
from flyback.audit.iam.footprint import Place, characters, deployer_policy, parts
from flyback.audit.iam.grants import too_wide
from flyback.audit.iam.widening import widenings
from flyback.errors import UserError

NAMES = st.lists(st.text("abc", min_size=1, max_size=30), min_size=1, max_size=8, unique=True)
STATEMENTS = st.lists(
    st.builds(
        lambda actions, resources: {"Effect": "Allow", "Action": actions, "Resource": resources},
        NAMES,
        NAMES,
    ),
    min_size=1,
    max_size=6,
)


def _granted(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        pair
        for statement in document["Statement"]
        for pair in product(statement["Action"], statement["Resource"])
    }


@given(STATEMENTS, st.integers(150, 600))
def test_parts_grant_what_the_whole_grants(statements: list[dict[str, Any]], most: int) -> None:
    """No part is longer than asked, no action is lost or won on any resource."""
    document = {"Version": "2012-10-17", "Statement": statements}
    shares = parts(document, most)
    assert all(0 < characters(share) <= most for share in shares)
    assert set().union(*map(_granted, shares)) == _granted(document)
    if characters(document) <= most:
        assert shares == (document,)


def test_what_cannot_be_divided_is_told() -> None:
    """One action on one resource that is too long by itself."""
    statement = {"Sid": "Long", "Effect": "Allow", "Action": "s3:*", "Resource": "x" * 200}
    with pytest.raises(UserError, match="Long: a statement is longer"):
        parts({"Version": "2012-10-17", "Statement": statement}, 200)


def test_a_policy_for_several_places() -> None:
    """Two regions are one policy, and more parts where it must be."""
    one = Place(name="lab", account="123456789012", region="eu-west-1")
    two = Place(name="lab", account="123456789012", region="us-east-1")
    both = deployer_policy(one, two)
    assert _granted(both) >= _granted(deployer_policy(one)) | _granted(deployer_policy(two))
    assert all(characters(share) <= 6144 for share in parts(both))


def _trust(principal: Any, **conditions: Any) -> Attached:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = {"Statement": [{**statement, "Condition": conditions}]}
    return Attached(kind="trust", holder="arn:aws:iam::1:role/r", name="trust", document=document)


_GITHUB = {"Federated": "arn:aws:iam::1:oidc-provider/issuer.test"}
_AUD, _SUB = {"issuer.test:aud": "sts"}, {"issuer.test:sub": "repo:a/b:ref:refs/heads/main"}


@pytest.mark.parametrize(
    ("policy", "finding"),
    [
        (_trust({"Service": "ec2.amazonaws.com"}), ""),
        (_trust(_GITHUB, StringEquals={**_AUD, **_SUB}), ""),
        (_trust("*"), "anybody"),
        (_trust({"AWS": ["*"]}), "anybody"),
        (_trust(_GITHUB, StringEquals=_AUD), "whatever sub"),
        (_trust(_GITHUB, StringEquals=_SUB), "whatever aud"),
        (_trust(_GITHUB, StringEquals=_AUD, StringLike=_SUB), "more than one value"),
        (_trust(_GITHUB, StringEqualsIfExists={**_AUD, **_SUB}), "or by none"),
        (_trust({"Service": "s"}, ArnEquals={"aws:SourceArn": "arn:*"}), "more than one ARN"),
        (_trust({"Service": "s"}, ArnEquals={"aws:SourceArn": "arn:x"}), ""),
    ],
)
def test_trust_that_says_too_much(policy: Attached, finding: str) -> None:
    """Wildcards, missing and loose conditions of a trust are findings; exact ones are not."""
    found = list(too_wide(policy))
    assert bool(found) == bool(finding), found
    assert finding in " ".join(found)


def test_every_widening_of_a_trust_is_a_finding() -> None:
    """Whatever wildcard takes the place of whatever part."""
    sound = _trust(_GITHUB, StringEquals={**_AUD, **_SUB})
    mutants = dict(widenings(sound))
    assert len(mutants) > 15
    assert [text for text, mutant in mutants.items() if not list(too_wide(mutant))] == []
