"""Launches under policies that look at what is launched, where, and from which market."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

REGION, ACCOUNT = "us-east-1", "123456789012"
_INSTANCES = f"arn:aws:ec2:*:{ACCOUNT}:instance/*"
_SUBNETS = f"arn:aws:ec2:*:{ACCOUNT}:subnet/*"
_GROUPS = f"arn:aws:ec2:*:{ACCOUNT}:security-group/*"
_SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
Launch = Callable[..., str]


@pytest.fixture
def launch(
    cloud: RehearsalCloud, http: Callable[..., Any], dlami: str, subnets: dict[str, str]
) -> Launch:
    """Launches as one who may do everything but what is denied; gives the error code, or empty."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    ec2 = http("ec2", key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def launched(deny: dict[str, Any], *, placed: bool = False, **params: Any) -> str:
        if placed:
            params["SubnetId"] = subnets[f"{REGION}a"]
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        denied = {"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*", **deny}
        document = {"Version": "2012-10-17", "Statement": [everything, denied]}
        iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=json.dumps(document))
        wanted = {"ImageId": dlami, "InstanceType": "g4dn.xlarge", **params}
        try:
            ec2.run_instances(**wanted, MinCount=1, MaxCount=1)
        except ClientError as refused:
            return str(refused.response["Error"]["Code"])
        return ""

    return launched


def _when(operator: str, key: str, value: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


@pytest.mark.parametrize(
    ("deny", "params"),
    [
        (_when("StringEquals", "ec2:InstanceMarketType", "on-demand"), {}),
        (_when("StringEquals", "ec2:InstanceMarketType", "spot"), _SPOT),
        (_when("ArnLike", "ec2:Vpc", f"arn:aws:ec2:*:{ACCOUNT}:vpc/*"), {"placed": True}),
        (_when("ArnLike", "ec2:Vpc", f"arn:aws:ec2:*:{ACCOUNT}:vpc/*"), {}),
        (_when("StringEquals", "ec2:AvailabilityZone", f"{REGION}a"), {"placed": True}),
        (_when("StringEquals", "ec2:Owner", "amazon"), {}),
        (_when("StringEquals", "ec2:Tenancy", "default"), {}),
        (_when("StringEquals", "ec2:RootDeviceType", "ebs"), {}),
        ({"Resource": _SUBNETS}, {}),
        ({"Resource": _GROUPS}, {}),
    ],
)
def test_what_is_denied_is_not_launched(
    launch: Launch, deny: dict[str, Any], params: dict[str, Any]
) -> None:
    """By market, network, zone, owner, tenancy, root device; by default subnet and group too."""
    assert launch(deny, **params) == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("deny", "params"),
    [
        (
            {"Resource": _INSTANCES, **_when("StringNotEquals", "ec2:InstanceMarketType", "spot")},
            _SPOT,
        ),
        (
            {"Resource": _SUBNETS, **_when("StringNotLike", "ec2:AvailabilityZone", f"{REGION}a")},
            {"placed": True},
        ),
        (
            {
                "Resource": f"arn:aws:ec2:{REGION}::image/*",
                **_when("StringNotEquals", "ec2:Owner", "amazon"),
            },
            {},
        ),
    ],
)
def test_what_is_not_denied_is_launched(
    launch: Launch, deny: dict[str, Any], params: dict[str, Any]
) -> None:
    """A policy that allows one market, zone or owner only lets that through."""
    assert launch(deny, **params) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ec2:InstanceType", "g4dn.xlarge"),
        ("ec2:InstanceMarketType", "spot"),
        ("ec2:AvailabilityZone", f"{REGION}a"),
        ("ec2:RootDeviceType", "ebs"),
    ],
)
def test_a_machine_that_is_there_keeps_its_keys(
    cloud: RehearsalCloud, launch: Launch, http: Callable[..., Any], key: str, value: str
) -> None:
    """Terminating it asks by type, market, zone and root device, as launching did."""
    nothing = _when("StringEquals", "aws:RequestedRegion", "nowhere")
    assert launch(nothing, placed=True, **_SPOT) == ""
    (machine,) = cloud.clients("ec2", REGION).describe_instances()["Reservations"]
    there = [machine["Instances"][0]["InstanceId"]]
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="bob")
    credentials = iam.create_access_key(UserName="bob")["AccessKey"]
    only = {
        "Effect": "Allow",
        "Action": "ec2:TerminateInstances",
        "Resource": _INSTANCES,
        **_when("StringEquals", key, value),
    }
    document = {"Version": "2012-10-17", "Statement": [only]}
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=json.dumps(document))
    ec2 = http("ec2", key=credentials["AccessKeyId"], secret=credentials["SecretAccessKey"])
    ec2.terminate_instances(InstanceIds=there)
