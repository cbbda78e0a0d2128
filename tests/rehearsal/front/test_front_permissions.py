"""The authorizer over the socket: users, groups, boundaries, sessions, services, denials."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

Clients = Callable[..., Any]
REGION = "us-east-1"
ACCOUNT = "123456789012"


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: str | list[str], resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
def ada(cloud: RehearsalCloud) -> dict[str, str]:
    """Keys of a user who may do nothing yet."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada", Tags=[{"Key": "team", "Value": "blue"}])
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def _code(call: Callable[[], Any]) -> str:
    """The error code that a call meets; empty where it succeeds."""
    try:
        call()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


def test_a_user_may_what_their_own_and_their_groups_policies_say(
    cloud: RehearsalCloud, http: Clients, ada: dict[str, str]
) -> None:
    """Nothing at first; then by an inline policy with a variable, then by a group's."""
    iam, s3 = cloud.clients("iam", REGION), http("s3", **ada)
    cloud.clients("s3", REGION).create_bucket(Bucket="shared")
    assert _code(lambda: s3.put_object(Bucket="shared", Key="ada/x")) == "AccessDenied"
    mine = _allow("s3:PutObject", "arn:aws:s3:::shared/${aws:username}/*")
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=_document(mine))
    assert _code(lambda: s3.put_object(Bucket="shared", Key="ada/x")) == ""
    assert _code(lambda: s3.put_object(Bucket="shared", Key="bob/x")) == "AccessDenied"
    iam.create_group(GroupName="blue")
    team = _allow("s3:PutObject", "arn:aws:s3:::shared/${aws:PrincipalTag/team}/*")
    iam.put_group_policy(GroupName="blue", PolicyName="p", PolicyDocument=_document(team))
    assert _code(lambda: s3.put_object(Bucket="shared", Key="blue/x")) == "AccessDenied"
    iam.add_user_to_group(GroupName="blue", UserName="ada")
    assert _code(lambda: s3.put_object(Bucket="shared", Key="blue/x")) == ""


def test_who_may_not_list_is_not_told_what_is_absent(
    cloud: RehearsalCloud, http: Clients, ada: dict[str, str]
) -> None:
    """An absent object is 403 without s3:ListBucket, and NoSuchKey with it."""
    iam, s3 = cloud.clients("iam", REGION), http("s3", **ada)
    cloud.clients("s3", REGION).create_bucket(Bucket="shared")
    read = _allow("s3:GetObject", "arn:aws:s3:::shared/*")
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=_document(read))
    assert _code(lambda: s3.get_object(Bucket="shared", Key="none")) == "AccessDenied"
    assert _code(lambda: s3.head_object(Bucket="shared", Key="none")) == "403"
    listing = _allow("s3:ListBucket", "arn:aws:s3:::shared")
    iam.put_user_policy(UserName="ada", PolicyName="l", PolicyDocument=_document(listing))
    assert _code(lambda: s3.get_object(Bucket="shared", Key="none")) == "NoSuchKey"


def test_a_roles_session_is_limited_by_boundary_and_session_policy(
    cloud: RehearsalCloud, http: Clients, ada: dict[str, str]
) -> None:
    """A role that trusts a user: what role, boundary and session policy all allow, and no more."""
    iam = cloud.clients("iam", REGION)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
        "Action": "sts:AssumeRole",
    }
    limit = _document(_allow(["s3:*", "ssm:*"]))
    boundary = iam.create_policy(PolicyName="limit", PolicyDocument=limit)["Policy"]["Arn"]
    iam.create_role(
        RoleName="worker",
        AssumeRolePolicyDocument=_document(trust),
        PermissionsBoundary=boundary,
    )
    iam.put_role_policy(
        RoleName="worker",
        PolicyName="p",
        PolicyDocument=_document(_allow(["s3:*", "ec2:*", "ssm:*"])),
    )
    keys = http("sts", **ada).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/worker",
        RoleSessionName="me",
        Policy=_document(_allow(["s3:*", "ec2:*"])),
    )["Credentials"]
    session = {
        "key": keys["AccessKeyId"],
        "secret": keys["SecretAccessKey"],
        "token": keys["SessionToken"],
    }
    assert _code(http("s3", **session).list_buckets) == ""
    with pytest.raises(ClientError, match="no permissions boundary allows the ec2:DescribeVpcs"):
        http("ec2", **session).describe_vpcs()
    with pytest.raises(ClientError, match="no session policy allows the ssm:DescribeParameters"):
        http("ssm", **session).describe_parameters()


def test_a_role_is_taken_only_by_whom_it_trusts(cloud: RehearsalCloud, profile: str) -> None:
    """EC2 takes the machines' role; another service does not, nor the owner; a source must fit."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/{profile}"
    group = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/mine"

    def taken(via: str, role: str = arn) -> str:
        sts = cloud.clients("sts", REGION, via)
        return _code(lambda: sts.assume_role(RoleArn=role, RoleSessionName="session"))

    assert (taken("ec2"), taken("lambda"), taken("")) == ("", "AccessDenied", "AccessDenied")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceArn": group, "aws:SourceAccount": ACCOUNT}},
    }
    cloud.clients("iam", REGION).create_role(
        RoleName="ender", AssumeRolePolicyDocument=_document(trust)
    )
    ender = f"arn:aws:iam::{ACCOUNT}:role/ender"
    assert taken(f"scheduler:{group}", ender) == ""
    assert taken(f"scheduler:{group}s", ender) == "AccessDenied"
    assert taken("scheduler", ender) == "AccessDenied"


def test_machines_are_ended_by_their_tags(
    cloud: RehearsalCloud, http: Clients, ada: dict[str, str], dlami: str
) -> None:
    """A condition on a resource tag tells one's own machine from another."""
    ec2, iam = cloud.clients("ec2", REGION), cloud.clients("iam", REGION)
    own = _allow(
        "ec2:TerminateInstances",
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*",
        Condition={"StringEquals": {"aws:ResourceTag/flyback:name": "mine"}},
    )
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=_document(own))

    def machine(name: str) -> str:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "flyback:name", "Value": name}]}]
        made = ec2.run_instances(
            ImageId=dlami,
            InstanceType="g4dn.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tags,
        )
        return str(made["Instances"][0]["InstanceId"])

    mine, theirs = machine("mine"), machine("theirs")
    as_ada = http("ec2", **ada)
    both = [mine, theirs]
    refused = "UnauthorizedOperation"
    assert _code(lambda: as_ada.terminate_instances(InstanceIds=[theirs])) == refused
    assert _code(lambda: as_ada.terminate_instances(InstanceIds=both)) == refused
    assert _code(lambda: as_ada.terminate_instances(InstanceIds=[mine])) == ""


def test_an_encoded_message_can_be_decoded_by_those_who_may(
    cloud: RehearsalCloud, http: Clients, ada: dict[str, str]
) -> None:
    """EC2's encoded message holds principal, action, resource and the condition keys."""
    with pytest.raises(ClientError) as refused:
        http("ec2", **ada).describe_vpcs()
    message = refused.value.response["Error"]["Message"].rpartition(": ")[2]
    told = json.loads(
        cloud.clients("sts", REGION).decode_authorization_message(EncodedMessage=message)[
            "DecodedMessage"
        ]
    )
    assert told["context"]["action"] == "ec2:DescribeVpcs"
    assert told["context"]["principal"]["arn"].endswith(":user/ada")
    sts = http("sts", **ada)
    code = _code(lambda: sts.decode_authorization_message(EncodedMessage=message))
    assert code == "AccessDenied"


def test_an_operation_without_a_row_is_refused_by_name(http: Clients, ada: dict[str, str]) -> None:
    """Nobody but the owner passes where it is not known what to ask; the error says what to add."""
    with pytest.raises(ClientError, match=r"which permissions s3:PutBucketCors needs.*operations"):
        http("s3", **ada).put_bucket_cors(Bucket="b", CORSConfiguration={"CORSRules": []})
