"""Sessions of roles: their tags, their limits, and what IAM knows of how they began."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

REGION, ACCOUNT = "us-east-1", "123456789012"
WORKER = f"arn:aws:iam::{ACCOUNT}:role/worker"
ADA = f"arn:aws:iam::{ACCOUNT}:user/ada"
Take = Callable[..., dict[str, str]]


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **more}


def _trust(*actions: str, **more: Any) -> str:
    return _document(
        {"Effect": "Allow", "Principal": {"AWS": ADA}, "Action": list(actions), **more}
    )


@pytest.fixture
def take(cloud: RehearsalCloud, http: Callable[..., Any]) -> Take:
    """Ada, who may do everything, takes the role `worker`; gives the session's keys."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=_document(_allow("*")))
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=_trust("sts:AssumeRole"))
    _grant(cloud, _allow("*"))
    sts = http("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def taken(**params: Any) -> dict[str, str]:
        answer = sts.assume_role(RoleArn=WORKER, RoleSessionName="me", **params)["Credentials"]
        return {
            "key": answer["AccessKeyId"],
            "secret": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
        }

    return taken


def _grant(cloud: RehearsalCloud, *statements: dict[str, Any]) -> None:
    cloud.clients("iam", REGION).put_role_policy(
        RoleName="worker", PolicyName="p", PolicyDocument=_document(*statements)
    )


def _trusts(cloud: RehearsalCloud, document: str) -> None:
    cloud.clients("iam", REGION).update_assume_role_policy(
        RoleName="worker", PolicyDocument=document
    )


def _code(call: Callable[[], Any]) -> str:
    """The error code that a call meets; empty where it succeeds."""
    try:
        call()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


def test_managed_policies_limit_a_session(
    cloud: RehearsalCloud, http: Callable[..., Any], take: Take
) -> None:
    """What PolicyArns or Policy allow of what the role may, together, and no more."""
    limit = cloud.clients("iam", REGION).create_policy(
        PolicyName="sqs", PolicyDocument=_document(_allow("sqs:*"))
    )["Policy"]["Arn"]
    keys = take(PolicyArns=[{"arn": limit}])
    with pytest.raises(ClientError, match="no session policy allows the s3:ListAllMyBuckets"):
        http("s3", **keys).list_buckets()
    both = take(PolicyArns=[{"arn": limit}], Policy=_document(_allow("s3:ListAllMyBuckets")))
    assert _code(http("s3", **both).list_buckets) == ""
    assert _code(http("ec2", **both).describe_vpcs) == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("account", "code"), [("aws", "NotEmulated"), (ACCOUNT, "MalformedPolicyDocument")]
)
def test_a_limit_that_cannot_be_read_is_refused(take: Take, account: str, code: str) -> None:
    """A session whose limit nobody knows would be one without."""
    arn = f"arn:aws:iam::{account}:policy/ReadOnlyAccess"
    assert _code(lambda: take(PolicyArns=[{"arn": arn}])) == code


def test_tags_and_a_source_identity_are_rights_of_their_own(
    cloud: RehearsalCloud, take: Take
) -> None:
    """The role's trust must allow sts:TagSession and sts:SetSourceIdentity where they are sent."""
    tags = [{"Key": "team", "Value": "blue"}]
    assert _code(lambda: take(Tags=tags)) == "AccessDenied"
    assert _code(lambda: take(SourceIdentity="ada")) == "AccessDenied"
    blue = {"StringEquals": {"aws:RequestTag/team": "blue"}}
    _trusts(cloud, _trust("sts:AssumeRole", "sts:TagSession", Condition=blue))
    assert _code(lambda: take(Tags=tags)) == ""
    assert _code(lambda: take(Tags=[{"Key": "team", "Value": "red"}])) == "AccessDenied"
    _trusts(cloud, _trust("sts:AssumeRole", "sts:SetSourceIdentity"))
    assert _code(lambda: take(SourceIdentity="ada")) == ""


def test_a_sessions_tags_are_its_principals(
    cloud: RehearsalCloud, http: Callable[..., Any], take: Take
) -> None:
    """`aws:PrincipalTag` sees the session's own tags before the role's."""
    cloud.clients("iam", REGION).tag_role(RoleName="worker", Tags=[{"Key": "team", "Value": "red"}])
    blue = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    _grant(cloud, _allow("s3:ListAllMyBuckets", Condition=blue))
    _trusts(cloud, _trust("sts:AssumeRole", "sts:TagSession"))
    assert _code(http("s3", **take()).list_buckets) == "AccessDenied"
    tagged = take(Tags=[{"Key": "team", "Value": "blue"}])
    assert _code(http("s3", **tagged).list_buckets) == ""


def test_tags_are_handed_on_once(
    cloud: RehearsalCloud, http: Callable[..., Any], take: Take
) -> None:
    """A key that is no tag can't be handed on; one that is handed on can't be sent again."""
    _trusts(cloud, _trust("sts:AssumeRole", "sts:TagSession"))
    blue, red = [{"Key": "team", "Value": "blue"}], [{"Key": "Team", "Value": "red"}]
    assert _code(lambda: take(Tags=blue, TransitiveTagKeys=["other"])) == "ValidationError"
    cloud.clients("iam", REGION).create_role(
        RoleName="next",
        AssumeRolePolicyDocument=_document(
            {
                "Effect": "Allow",
                "Principal": {"AWS": WORKER},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        ),
    )
    cloud.clients("iam", REGION).put_role_policy(
        RoleName="next",
        PolicyName="p",
        PolicyDocument=_document(
            _allow("s3:*", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}})
        ),
    )
    worker = http("sts", **take(Tags=blue, TransitiveTagKeys=["Team"]))
    following = {"RoleArn": WORKER.replace("worker", "next"), "RoleSessionName": "me"}
    assert _code(lambda: worker.assume_role(**following, Tags=red)) == "InvalidParameterValue"
    keys = worker.assume_role(**following)["Credentials"]
    s3 = http(
        "s3",
        key=keys["AccessKeyId"],
        secret=keys["SecretAccessKey"],
        token=keys["SessionToken"],
    )
    assert _code(s3.list_buckets) == ""


@pytest.mark.parametrize(
    ("condition", "refused"),
    [
        ({"Null": {"aws:TokenIssueTime": "false"}}, True),
        ({"DateLessThan": {"aws:TokenIssueTime": "2100-01-01T00:00:00Z"}}, True),
        ({"DateGreaterThan": {"aws:TokenIssueTime": "2100-01-01T00:00:00Z"}}, False),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, False),
        ({"Null": {"aws:FederatedProvider": "false"}}, False),
    ],
)
def test_what_a_session_without_a_device_shows(
    cloud: RehearsalCloud,
    http: Callable[..., Any],
    take: Take,
    condition: dict[str, Any],
    *,
    refused: bool,
) -> None:
    """When it was issued, and that no device was shown; that of a user's own key shows neither."""
    deny = {**_allow("s3:*", Condition=condition), "Effect": "Deny"}
    _grant(cloud, _allow("*"), deny)
    assert (_code(http("s3", **take()).list_buckets) == "AccessDenied") == refused
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="bob")
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    policy = _document(_allow("*"), deny)
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=policy)
    bob = http("s3", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    assert _code(bob.list_buckets) == ""


def test_a_device_is_seen_by_the_trust_and_by_the_session(
    cloud: RehearsalCloud, http: Callable[..., Any], take: Take
) -> None:
    """A role that asks for one is not taken without; its session shows that one was there."""
    present = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    _trusts(cloud, _trust("sts:AssumeRole", Condition=present))
    _grant(cloud, _allow("s3:ListAllMyBuckets", Condition=present))
    assert _code(take) == "AccessDenied"
    shown = take(SerialNumber=f"arn:aws:iam::{ACCOUNT}:mfa/ada", TokenCode="123456")
    assert _code(http("s3", **shown).list_buckets) == ""
