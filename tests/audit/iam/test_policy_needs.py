"""The table of what IAM is asked: sound, cited, and right for launches."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest

from flyback.audit.iam import Asked, Called, Need, UnmappedError, known_operations, needs
from flyback.audit.iam.footprint import Place, Wanted, policy_of, smallest
from flyback.audit.iam.needs import rows

PLACE = Place(name="lab", account="123456789012", region="us-east-1")


def _called(service: str, operation: str, **params: Any) -> Called:
    return Called(
        service=service,
        operation=operation,
        params=params,
        region="us-east-1",
        account="123456789012",
    )


_VPC = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"
_ATTRIBUTES = {
    "image/ami-1": {"ec2:Owner": "amazon", "ec2:RootDeviceType": "ebs"},
    **{
        f"subnet/subnet-{number}": {
            "ec2:AvailabilityZone": f"us-east-1{letter}",
            "ec2:AvailabilityZoneId": f"use1-az{number}",
            "ec2:Vpc": _VPC,
        }
        for number, letter in ((1, "a"), (2, "b"), (3, "c"))
    },
    "security-group/sg-beside-subnet-3": {"ec2:Vpc": _VPC},
}


class Known:
    """An account with one launch template, one profile, one tagged machine, a default subnet."""

    def canonical(self, arn: str) -> str:
        return arn

    def tags(self, arn: str) -> Mapping[str, str]:
        return {"flyback:name": "lab"} if arn.endswith("/i-1") else {}

    def attributes(self, arn: str) -> Mapping[str, str]:
        return _ATTRIBUTES.get(arn.rpartition(":")[2], {})

    def image(self, image: str) -> str:
        return "ami-1" if image.startswith("resolve:") else image

    def default_subnets(self, zone: str) -> tuple[str, ...]:
        return ("subnet-3",) if zone in ("", "us-east-1c") else ()

    def default_group(self, subnet: str) -> str:
        return f"sg-beside-{subnet}"

    def launch_template(self, wanted: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        del wanted
        return "lt-1", {
            "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/p"},
            "NetworkInterfaces": [{"Groups": ["sg-1"], "AssociatePublicIpAddress": True}],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "Project", "Value": "x"}]}
            ],
        }

    def profile_role(self, profile: Mapping[str, Any]) -> str:
        assert profile["Arn"].endswith("instance-profile/p")
        return "arn:aws:iam::123456789012:role/machine"


def test_every_row_is_of_an_operation_that_exists_and_cites_aws() -> None:
    """Botocore knows each service and operation; each row has a page of AWS's documentation."""
    session = botocore.session.get_session()
    for operation, found in rows().items():
        service, _, name = operation.partition(":")
        names = session.get_service_model(service).operation_names
        assert name in names or (name.endswith("*") and any(n.startswith(name[:-1]) for n in names))
        for row in found:
            assert row.source.startswith("https://docs.aws.amazon.com/")
    assert len(known_operations()) > 200


def test_an_operation_without_a_row_is_an_error_that_names_it() -> None:
    """Neither the questions nor a policy are guessed."""
    with pytest.raises(UnmappedError, match="sqs:SendMessage needs"):
        needs(_called("sqs", "SendMessage"))
    unknown = Asked(
        number=1,
        service="sqs",
        operation="SendMessage",
        principal="arn:aws:iam::123456789012:root",
        action="",
        resource="",
        allowed=True,
    )
    with pytest.raises(UnmappedError, match="sqs:SendMessage needs"):
        smallest([unknown], PLACE)


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (_called("sts", "GetCallerIdentity"), []),
        (
            _called("s3", "ListObjectsV2", Bucket="b", Prefix="runs/"),
            [("s3:ListBucket", "arn:aws:s3:::b")],
        ),
        (
            _called("s3", "PutObject", Bucket="b", Key="k", Tagging="a=b"),
            [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:PutObjectTagging", "arn:aws:s3:::b/k")],
        ),
        (
            _called("s3", "GetObject", Bucket="b", Key="k", VersionId="1"),
            [("s3:GetObjectVersion", "arn:aws:s3:::b/k")],
        ),
        (
            _called("ssm", "GetParameter", Name="/flyback/token"),
            [("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/flyback/token")],
        ),
        (
            _called("ssm", "GetParameter", Name="/aws/service/x"),
            [("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/x")],
        ),
        (
            _called(
                "cloudformation", "DeleteStack", StackName="arn:aws:cloudformation:x:y:stack/s/1"
            ),
            [("cloudformation:DeleteStack", "arn:aws:cloudformation:x:y:stack/s/1")],
        ),
        (
            _called(
                "scheduler", "CreateSchedule", Name="n", Target={"RoleArn": "arn:aws:iam::1:role/r"}
            ),
            [
                (
                    "scheduler:CreateSchedule",
                    "arn:aws:scheduler:us-east-1:123456789012:schedule/default/n",
                ),
                ("iam:PassRole", "arn:aws:iam::1:role/r"),
            ],
        ),
        (
            _called("ec2", "DescribeVpcs"),
            [("ec2:DescribeVpcs", "*")],
        ),
    ],
    ids=lambda value: f"{value.operation}-{value.params}" if isinstance(value, Called) else "",
)
def test_what_is_asked_of(called: Called, expected: list[tuple[str, str]]) -> None:
    """Actions and resources of single calls."""
    assert [(need.action, need.resource) for need in needs(called)] == expected


def test_terminating_asks_of_each_machine_with_its_tags() -> None:
    """One question for each id; the tags that a machine has are in the context."""
    first, second = needs(_called("ec2", "TerminateInstances", InstanceIds=["i-1", "i-2"]), Known())
    assert first.resource.endswith(":instance/i-1")
    assert first.context["aws:ResourceTag/flyback:name"] == "lab"
    assert first.context["ec2:ResourceTag/flyback:name"] == "lab"
    assert "aws:ResourceTag/flyback:name" not in second.context


def _fleet(market: str = "on-demand") -> tuple[Need, ...]:
    tags = [{"Key": "flyback:run-id", "Value": "r"}]
    return needs(
        _called(
            "ec2",
            "CreateFleet",
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1"},
                    "Overrides": [
                        {"InstanceType": kind, "SubnetId": subnet, "ImageId": "ami-1"}
                        for kind in ("g4dn.xlarge", "g6.xlarge")
                        for subnet in ("subnet-1", "subnet-2")
                    ],
                }
            ],
            TagSpecifications=[
                {"ResourceType": kind, "Tags": tags} for kind in ("fleet", "instance", "volume")
            ],
            TargetCapacitySpecification={
                "TotalTargetCapacity": 1,
                "DefaultTargetCapacityType": market,
            },
        ),
        Known(),
    )


def test_a_spot_machine_asks_for_its_request_too() -> None:
    """RunInstances on the spot request, which bears no tag; by fleet or by itself, spot alone."""
    other = {(need.action, need.resource) for need in _fleet()}
    (more,) = [need for need in _fleet("spot") if (need.action, need.resource) not in other]
    request = "arn:aws:ec2:us-east-1:123456789012:spot-instances-request/*"
    assert (more.action, more.resource) == ("ec2:RunInstances", request)
    assert not [key for key in more.context if key.startswith("aws:RequestTag")]
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    for options, count in (({}, 0), (spot, 1)):
        found = needs(_called("ec2", "RunInstances", InstanceType="x", **options), Known())
        assert [need.resource for need in found].count(request) == count


def test_a_fleet_asks_for_all_that_it_depends_on() -> None:
    """CreateFleet, RunInstances on each resource, CreateTags on each tagged kind, PassRole."""
    asked = {(need.action, need.resource.split(":")[-1]) for need in _fleet()}
    assert asked == {
        *(("ec2:CreateFleet", what) for what in ("fleet/*", "instance/*", "launch-template/lt-1")),
        *(
            ("ec2:CreateFleet", what)
            for what in ("image/ami-1", "subnet/subnet-1", "subnet/subnet-2")
        ),
        *(("ec2:RunInstances", what) for what in ("image/ami-1", "instance/*", "volume/*")),
        *(("ec2:RunInstances", what) for what in ("launch-template/lt-1", "security-group/sg-1")),
        *(("ec2:RunInstances", what) for what in ("subnet/subnet-1", "subnet/subnet-2")),
        ("ec2:RunInstances", "network-interface/*"),
        *(("ec2:CreateTags", what) for what in ("fleet/*", "instance/*", "volume/*")),
        ("iam:PassRole", "role/machine"),
    }


def test_a_fleets_questions_bear_tags_types_and_the_service_that_takes_the_role() -> None:
    """Tags of template and request join; each instance type is asked about on its own."""
    found = _fleet()
    machines = [
        need
        for need in found
        if need.action == "ec2:RunInstances" and "instance/*" in need.resource
    ]
    assert [
        (need.context["ec2:InstanceType"], need.context["ec2:AvailabilityZone"])
        for need in machines
    ] == [
        (kind, zone)
        for kind in ("g4dn.xlarge", "g6.xlarge")
        for zone in ("us-east-1a", "us-east-1b")
    ]
    assert machines[0].context["aws:TagKeys"] == ("Project", "flyback:run-id")
    assert machines[0].context["ec2:LaunchTemplate"].endswith("launch-template/lt-1")  # type: ignore[union-attr]  # one value
    passed = next(need for need in found if need.action == "iam:PassRole")
    assert passed.context == {"iam:PassedToService": "ec2.amazonaws.com"}
    actions = {
        need.resource.rpartition(":")[2]: need.context["ec2:CreateAction"]
        for need in found
        if need.action == "ec2:CreateTags"
    }
    assert actions == {
        "fleet/*": "CreateFleet", "instance/*": "RunInstances", "volume/*": "RunInstances",
    }  # fmt: skip


def _launch(**params: Any) -> dict[str, Need]:
    """RunInstances' own questions, by resource; each is asked once."""
    found = needs(_called("ec2", "RunInstances", InstanceType="x", **params), Known())
    asked = [need for need in found if need.action == "ec2:RunInstances"]
    by = {need.resource.rpartition(":")[2]: need for need in asked}
    assert len(by) == len(asked)
    return by


def test_a_launch_says_what_aws_lists_for_each_resource() -> None:
    """Market, tenancy, zone, network, owner and root device, each where the reference has it."""
    by = _launch(ImageId="ami-1", SubnetId="subnet-1", SecurityGroupIds=["sg-1"])
    place = {"ec2:AvailabilityZone": "us-east-1a", "ec2:AvailabilityZoneId": "use1-az1"}
    instance = {"ec2:InstanceMarketType": "on-demand", "ec2:Tenancy": "default"}
    instance |= {"ec2:RootDeviceType": "ebs", "ec2:EbsOptimized": "false", **place}
    network = {"ec2:Vpc": _VPC, "ec2:Subnet": "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-1"}
    expected = {
        "instance/*": instance,
        "network-interface/*": {**network, "ec2:AvailabilityZone": "us-east-1a"},
        "subnet/subnet-1": {"ec2:Vpc": _VPC, "ec2:SubnetID": "subnet-1", **place},
        "volume/*": place,
        "image/ami-1": {"ec2:Owner": "amazon", "ec2:ImageID": "ami-1"},
    }
    for resource, keys in expected.items():
        assert keys.items() <= by[resource].context.items(), resource
    assert set(by) == {*expected, "security-group/sg-1"}
    assert "ec2:AvailabilityZoneId" not in by["network-interface/*"].context


def test_without_a_subnet_the_default_one_and_its_group_are_asked_about() -> None:
    """As EC2 takes them; in the zone that the request names, if it names one."""
    for placement in ({}, {"Placement": {"AvailabilityZone": "us-east-1c"}}):
        by = _launch(ImageId="ami-1", **placement)
        assert {"subnet/subnet-3", "security-group/sg-beside-subnet-3"} <= set(by)
        assert by["instance/*"].context["ec2:AvailabilityZone"] == "us-east-1c"
    elsewhere = _launch(ImageId="ami-1", Placement={"AvailabilityZone": "us-east-1d"})
    assert not [resource for resource in elsewhere if resource.startswith("subnet")]


def test_what_a_request_names_is_asked_about() -> None:
    """A key pair, a placement group, a snapshot; a profile by name is known by its ARN."""
    by = _launch(
        ImageId="resolve:ssm:/mine",
        KeyName="mine",
        IamInstanceProfile={"Arn": "arn:aws:iam::123456789012:instance-profile/p"},
        Placement={"GroupName": "near", "Tenancy": "dedicated"},
        BlockDeviceMappings=[{"Ebs": {"SnapshotId": "snap-1", "Iops": 3000}}],
        InstanceMarketOptions={"MarketType": "spot"},
    )
    assert {"image/ami-1", "key-pair/mine", "placement-group/near", "snapshot/snap-1"} <= set(by)
    context = by["instance/*"].context
    assert (context["ec2:Tenancy"], context["ec2:InstanceMarketType"]) == ("dedicated", "spot")
    volume = by["volume/*"].context
    assert volume["ec2:VolumeIops"] == "3000"
    assert volume["ec2:ParentSnapshot"] == "arn:aws:ec2:us-east-1::snapshot/snap-1"


@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_a_fleets_machines_are_of_its_market(market: str) -> None:
    """RunInstances says which; CreateFleet, which does not take that key, does not."""
    machines = [need for need in _fleet(market) if need.resource.endswith(":instance/*")]
    told = {
        (need.action, need.context.get("ec2:InstanceMarketType"))
        for need in machines
        if need.action != "ec2:CreateTags"
    }
    assert told == {("ec2:RunInstances", market), ("ec2:CreateFleet", None)}
    assert {need.context.get("aws:RequestTag/flyback:run-id") for need in machines} == {"r"}


def test_an_image_by_parameter_asks_for_the_parameter() -> None:
    """`resolve:ssm:` needs ssm:GetParameters, and no image is named."""
    found = needs(
        _called("ec2", "RunInstances", ImageId="resolve:ssm:/aws/service/dlami:1", InstanceType="x")
    )
    asked = {(need.action, need.resource) for need in found}
    assert ("ssm:GetParameters", "arn:aws:ssm:us-east-1::parameter/aws/service/dlami") in asked
    assert not any(":image/" in resource for _, resource in asked)


def test_a_policy_is_the_smallest_that_holds_what_was_recorded() -> None:
    """Identifiers become `*`, names of the deployment stay, conditions join by key."""
    found = [
        Wanted(action="s3:GetObject", resource="arn:{p}:s3:::{name}-outputs-{a}-{r}/runs/*"),
        Wanted(action="ec2:CreateVpc", resource="arn:{p}:ec2:{r}:{a}:vpc/*"),
        Wanted(action="ec2:CreateSubnet", resource="arn:{p}:ec2:{r}:{a}:subnet/*"),
        Wanted(action="iam:PassRole", resource="arn:{p}:iam::{a}:role/x", condition="k=b"),
        Wanted(action="iam:PassRole", resource="arn:{p}:iam::{a}:role/y", condition="k=a"),
    ]
    document = policy_of(found, PLACE)
    assert json.loads(json.dumps(document))["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["ec2:CreateSubnet", "ec2:CreateVpc"],
            "Resource": [
                "arn:aws:ec2:us-east-1:123456789012:subnet/*",
                "arn:aws:ec2:us-east-1:123456789012:vpc/*",
            ],
        },
        {
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": [
                "arn:aws:iam::123456789012:role/x",
                "arn:aws:iam::123456789012:role/y",
            ],
            "Condition": {"StringEquals": {"k": ["a", "b"]}},
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": ["arn:aws:s3:::lab-outputs-123456789012-us-east-1/runs/*"],
        },
    ]


def _of_machines(action: str, *, name: str = "", via: str = "", creates: str = "") -> Asked:
    context = {"aws:ResourceTag/flyback:name": name} if name else {}
    context |= {"ec2:CreateAction": creates} if creates else {}
    return Asked(
        number=1,
        service="ec2",
        operation=action.partition(":")[2],
        principal="arn:aws:iam::123456789012:user/me",
        via=via,
        action=action,
        resource=f"arn:aws:ec2:us-east-1:{PLACE.account}:instance/i-1",
        context=context,
        allowed=True,
    )


_TAGGED = "aws:ResourceTag/flyback:name={name}"


@pytest.mark.parametrize(
    ("asked", "conditions"),
    [
        ([_of_machines("ec2:TerminateInstances", name=PLACE.name)], [_TAGGED]),
        ([_of_machines("ec2:TerminateInstances", name="theirs")], [""]),
        (
            [_of_machines("ec2:TerminateInstances", name=PLACE.name, via="cloudformation")],
            [""],
        ),
        (
            [
                _of_machines("ec2:CreateTags", name=PLACE.name),
                _of_machines("ec2:CreateTags", creates="RunInstances"),
            ],
            [_TAGGED, "ec2:CreateAction=RunInstances"],
        ),
        (
            [
                _of_machines("ec2:CreateTags", name=PLACE.name),
                _of_machines("ec2:CreateTags", via="cloudformation"),
            ],
            [""],
        ),
    ],
)
def test_what_limits_a_right_on_machines(asked: list[Asked], conditions: list[str]) -> None:
    """The deployment's tag, where its own caller asked about a thing that holds it."""
    assert [item.condition for item in smallest(asked, PLACE)] == conditions


def test_the_tag_in_a_policy_is_the_deployments() -> None:
    """Its name stands in the condition, once for however many regions."""
    found = [Wanted(action="ec2:TerminateInstances", resource="*", condition=_TAGGED)]
    (statement,) = policy_of(found, PLACE, dataclasses.replace(PLACE, region="eu-west-1"))[
        "Statement"
    ]
    expected = {"StringEquals": {"aws:ResourceTag/flyback:name": [PLACE.name]}}
    assert statement["Condition"] == expected


def test_a_policy_for_deployments_of_any_name_compares_by_pattern() -> None:
    """`*` for the name means every name, and still a machine that has one."""
    found = [Wanted(action="ec2:TerminateInstances", resource="*", condition=_TAGGED)]
    document = policy_of(found, dataclasses.replace(PLACE, name="*"))
    (statement,) = document["Statement"]
    assert statement["Condition"] == {"StringLike": {"aws:ResourceTag/flyback:name": ["*"]}}
