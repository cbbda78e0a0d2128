"""What the audit lets pass in an identity's policy: what calls need, what is listed, no more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flyback.audit.iam import Asked, Attached
from flyback.audit.iam.grants import grants, judge_grants, too_wide
from flyback.audit.iam.implicit import implicit
from flyback.audit.iam.wildcards import nameless, names_nothing

_REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/lab"


def _policy(*statements: dict[str, Any]) -> Attached:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", **s} for s in statements],
    }
    return Attached(
        kind="identity",
        holder="arn:aws:iam::123456789012:role/lab-core-InstanceRole-X",
        name="machine",
        document=document,
    )


def _exempted(sid: str) -> dict[str, Any]:
    """A statement of the implicit list as it is shipped."""
    entries = [entry for entry in implicit() if entry.statement == sid]
    resource = "*" if entries[0].on("*") else _REPOSITORY
    return {"Sid": sid, "Action": [entry.action for entry in entries], "Resource": [resource]}


_SIDS = sorted({entry.statement for entry in implicit()})


@pytest.mark.parametrize("sid", _SIDS)
def test_what_other_programs_need_is_excused_and_nothing_beside_it(sid: str) -> None:
    """Not one action or resource more in an exempted statement goes unseen."""
    statement = _exempted(sid)
    assert [
        item.grant.text for item in judge_grants([_policy(statement)], []) if item.survives
    ] == []
    for action in ("ssm:SendCommand", "s3:DeleteBucket", "ecr:DeleteRepository", "kms:Decrypt"):
        more = {**statement, "Action": [*statement["Action"], action]}
        survivors = [item.grant.text for item in judge_grants([_policy(more)], []) if item.survives]
        assert survivors == [action]
    for resource in (
        "arn:aws:ecr:us-east-1:123456789012:repository/*",
        "arn:aws:ecr:*:*:repository/lab",
        "arn:aws:ssm:us-east-1:123456789012:*",
    ):
        more = {**statement, "Resource": [*statement["Resource"], resource]}
        survivors = [item.grant.text for item in judge_grants([_policy(more)], []) if item.survives]
        assert survivors == [resource]


def test_an_action_is_excused_on_its_own_resource_alone() -> None:
    """The right action on something else, or under another Sid, survives."""
    moved = {**_exempted("PullImages"), "Resource": ["*"]}
    assert all(item.survives for item in judge_grants([_policy(moved)], []))
    renamed = {**_exempted("SessionManager"), "Sid": "Mine"}
    assert all(item.survives for item in judge_grants([_policy(renamed)], []))


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:s3:::*",
        "arn:aws:s3:::*/runs/*",
        "arn:aws:iam::123456789012:*",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:logs:us-east-1:123456789012:log-group:*",
        "arn:aws:ssm:us-east-1:123456789012:parameter/*",
        "arn:aws:sns:us-east-1:123456789012:*",
        "arn:aws:*:us-east-1:123456789012:role/x",
        "arn:*",
        "arn:aws:ec2:us-east-1:123456789012:*/*",
    ],
)
def test_an_arn_that_names_nothing_is_flagged(resource: str) -> None:
    """A wildcard in place of the resource's name is as wide as `*` alone."""
    assert names_nothing(resource)
    wide = _policy({"Sid": "S", "Action": ["s3:GetObject"], "Resource": [resource]})
    (finding,) = too_wide(wide)
    assert "names nothing" in finding


def test_an_arn_that_names_something_is_not() -> None:
    """A prefix, a folder or a made-up end does not make an ARN nameless."""
    for resource in (
        "arn:aws:s3:::lab-data-1/*",
        "arn:aws:iam::123456789012:role/lab-core-*",
        "arn:aws:logs:us-east-1:123456789012:log-group:/flyback/lab/runs:*",
        "arn:aws:cloudformation:us-east-1:123456789012:stack/lab-core/*",
        "arn:aws:sns:us-east-1:123456789012:lab-alerts",
    ):
        assert not names_nothing(resource), resource
        fine = _policy({"Sid": "S", "Action": ["s3:GetObject"], "Resource": [resource]})
        assert list(too_wide(fine)) == []


def test_a_listed_wildcard_passes_with_its_action_alone() -> None:
    """What the list excuses for one action it does not excuse for another, or in another form."""
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*"
    machine, you = _policy().holder, "arn:aws:iam::123456789012:user/deployer"
    for holder, action, resource, passes in (
        (you, "cloudwatch:DescribeAlarms", arn, True),
        (machine, "cloudwatch:DescribeAlarms", arn, False),
        (you, "cloudwatch:DeleteAlarms", arn, False),
        (you, "cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:*:123456789012:alarm:*", False),
        (you, "ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*", True),
        (you, "ec2:TerminateInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*", False),
        (machine, "ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:vpc/*", False),
        (you, "ec2:TerminateInstances", "arn:aws:ec2:us-east-1:123456789012:*/*", False),
    ):
        policy = _policy({"Sid": "S", "Action": [action], "Resource": [resource]})
        policy = dataclasses.replace(policy, holder=holder)
        assert (list(too_wide(policy)) == []) == passes, (holder, action, resource)
    assert all(item.why for item in nameless())


_GUARDIAN = "arn:aws:iam::123456789012:role/lab-core-GuardianRole-X"
_PUSHER = "arn:aws:iam::123456789012:role/lab-ci-PushRole-X"


@pytest.mark.parametrize(
    ("holder", "action", "kind", "operator", "passes"),
    [
        (_policy().holder, "ec2:TerminateInstances", "instance", "StringEquals", False),
        (_policy().holder, "ec2:GetPasswordData", "instance", "", False),
        (_policy().holder, "ec2:DeleteVolume", "volume", "", False),
        (_PUSHER, "ec2:CreateTags", "instance", "", False),
        (_GUARDIAN, "ec2:TerminateInstances", "instance", "StringEquals", True),
        (_GUARDIAN, "ec2:TerminateInstances", "instance", "StringNotEquals", False),
        (_GUARDIAN, "ec2:TerminateInstances", "instance", "StringEqualsIfExists", False),
        (_GUARDIAN, "ec2:TerminateInstances", "instance", "", False),
        (_GUARDIAN, "ec2:StopInstances", "instance", "StringEquals", False),
        (_GUARDIAN, "ec2:DeleteVolume", "volume", "StringEquals", False),
    ],
)
def test_machines_without_a_name_are_whose_condition_says(
    holder: str, action: str, kind: str, operator: str, *, passes: bool
) -> None:
    """Each holder's own actions alone, and on what is there only where its tag is compared."""
    condition = {operator: {"aws:ResourceTag/flyback:name": ["lab"]}} if operator else {}
    resource = f"arn:aws:ec2:us-east-1:123456789012:{kind}/*"
    statement = {"Sid": "S", "Action": [action], "Resource": [resource], "Condition": condition}
    policy = dataclasses.replace(_policy(statement), holder=holder)
    assert (list(too_wide(policy)) == []) == passes


def test_each_way_to_widen_a_resource() -> None:
    """`*`, the ARN with nothing behind the colons, and with a wildcard for the name."""
    texts = {
        "arn:aws:iam::123456789012:role/lab-core-*": [
            "*",
            "arn:aws:iam::123456789012:*",
            "arn:aws:iam::123456789012:role/*",
        ],
        "arn:aws:s3:::lab-data-1/runs/*": ["*", "arn:aws:s3:::*", "arn:aws:s3:::*/runs/*"],
        "arn:aws:s3:::lab-data-1": ["*", "arn:aws:s3:::*"],
    }
    for resource, wider in texts.items():
        policy = _policy({"Sid": "S", "Action": "s3:GetObject", "Resource": resource})
        (grant,) = (item for item in grants(policy) if item.path == ("Resource",))
        assert [text for text, _ in grant.widened()] == wider
    trust = dataclasses.replace(policy, kind="trust")
    assert [list(item.widened()) for item in grants(trust)] == [[], []]


def _asked(action: str, *, allowed: bool = True, by: str = "") -> Asked:
    holder = _policy().holder
    return Asked(
        number=1,
        service="logs",
        operation=by or "Call",
        via="cloudformation" if by else "",
        principal=holder.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/i-1",
        role=holder,
        action=action,
        resource="arn:aws:logs:us-east-1:123456789012:log-group:lab:log-stream:s",
        allowed=allowed,
        scenario="a scenario",
    )


@pytest.mark.parametrize(
    ("asked", "tolerated", "by_schema"),
    [
        (["logs:PutLogEvents"], True, False),
        (["logs:PutLogEvents", "logs:GetLogEvents"], False, False),
        (["logs:PutLogEvents", "AWS::X"], True, False),
        (["AWS::X"], False, True),
    ],
)
def test_what_a_grant_without_which_only_tolerated_calls_fail_is(
    asked: list[str], *, tolerated: bool, by_schema: bool
) -> None:
    """It is tolerated where no other call needs it; what only a schema lists counts last."""
    statement = {
        "Sid": "S",
        "Action": ["logs:PutLogEvents", "logs:GetLogEvents"],
        "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:lab:*",
    }
    questions = [
        _asked("logs:PutLogEvents", by=name) if "::" in name else _asked(name) for name in asked
    ]
    verdicts = judge_grants([_policy(statement)], questions)
    (found,) = (item for item in verdicts if item.grant.path == ("Resource",))
    assert found.noticed.startswith("a scenario: ")
    assert (found.tolerated is not None, found.by_schema) == (tolerated, by_schema)


def test_a_question_that_the_policies_answer_otherwise_shows_nothing() -> None:
    """Refused in the recording, allowed by what is judged: no mutant is noticed by it."""
    statement = {
        "Sid": "S",
        "Action": "logs:PutLogEvents",
        "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:lab:*",
    }
    verdicts = judge_grants([_policy(statement)], [_asked("logs:PutLogEvents", allowed=False)])
    assert all(item.survives for item in verdicts)
