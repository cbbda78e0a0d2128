"""CreateFleet of type instant: pools in turn, failures in `Errors`, one launch per token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

Describe = Callable[[], dict[str, Any]]
Request = Callable[..., dict[str, Any]]


@pytest.fixture
def request_of(template: str, dlami: str, subnets: dict[str, str]) -> Request:
    """A fleet like the product's: types by zones."""

    def build(
        *, types: tuple[str, ...] = ("g4dn.xlarge",), zones: str = "ab", **fields: Any
    ) -> dict[str, Any]:
        disk = {
            "DeviceName": "/dev/sda1",
            "Ebs": {"VolumeSize": 120, "VolumeType": "gp3", "Encrypted": True},
        }
        overrides = [
            {
                "InstanceType": kind,
                "SubnetId": subnets[f"us-east-1{zone}"],
                "ImageId": dlami,
                "BlockDeviceMappings": [disk],
            }
            for kind in types
            for zone in zones
        ]
        tags = [{"Key": "flyback:run-id", "Value": "run-1"}]
        return {
            "Type": "instant",
            "ClientToken": "run-1-1",
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": 1,
                "DefaultTargetCapacityType": "spot",
            },
            "SpotOptions": {"AllocationStrategy": "price-capacity-optimized"},
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": template,
                        "Version": "$Default",
                    },
                    "Overrides": overrides,
                }
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
            ],
            **fields,
        }

    return build


def ids(answer: dict[str, Any]) -> list[str]:
    return [each for group in answer["Instances"] for each in group["InstanceIds"]]


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["ErrorCode"] for error in answer["Errors"]]


def test_one_machine_with_all_that_was_asked(
    ec2: Any, request_of: Request, template: str, only_machine: Describe
) -> None:
    """Override, template and tags come together on the machine and its volume."""
    answer = ec2.create_fleet(**request_of())
    (group,) = answer["Instances"]
    assert (group["Lifecycle"], group["InstanceType"]) == ("spot", "g4dn.xlarge")
    assert answer["Errors"] == []
    machine = only_machine()
    assert ids(answer) == [machine["InstanceId"]]
    assert machine["InstanceLifecycle"] == "spot"
    assert machine["SpotInstanceRequestId"].startswith("sir-")
    assert machine["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert machine["IamInstanceProfile"]["Arn"].endswith("/machine")
    assert machine["PublicIpAddress"]
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags["flyback:run-id"] == "run-1"
    assert tags["Project"] == "template"
    assert tags["aws:ec2:fleet-id"] == answer["FleetId"]
    assert tags["aws:ec2launchtemplate:id"] == template
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["Encrypted"]) == (120, True)
    assert {tag["Key"] for tag in volume["Tags"]} == {"Project", "Owner", "flyback:run-id"}


def test_a_pool_without_capacity_is_passed_over(
    cloud: RehearsalCloud, ec2: Any, request_of: Request, only_machine: Describe
) -> None:
    """The next pool gives the machine, and the first one's failure is told with its override."""
    cloud.capacity.refuse("g4dn.xlarge", "us-east-1a")
    answer = ec2.create_fleet(**request_of())
    assert only_machine()["Placement"]["AvailabilityZone"] == "us-east-1b"
    (error,) = answer["Errors"]
    assert (error["ErrorCode"], error["Lifecycle"]) == ("InsufficientInstanceCapacity", "spot")
    assert "us-east-1a" in error["ErrorMessage"]
    override = error["LaunchTemplateAndOverrides"]["Overrides"]
    assert override["InstanceType"] == "g4dn.xlarge"


def test_no_pool_at_all_is_no_exception(
    cloud: RehearsalCloud, ec2: Any, request_of: Request
) -> None:
    """A fleet id, no machine, one error per pool: the answer is a success that must be read."""
    cloud.capacity.refuse("g4dn.xlarge", code="UnfulfillableCapacity")
    cloud.capacity.refuse("g5.xlarge", code="VcpuLimitExceeded")
    answer = ec2.create_fleet(**request_of(types=("g4dn.xlarge", "g5.xlarge")))
    assert answer["FleetId"].startswith("fleet-")
    assert ids(answer) == []
    assert codes(answer) == ["UnfulfillableCapacity"] * 2 + ["VcpuLimitExceeded"] * 2
    assert ec2.describe_volumes()["Volumes"] == []


def test_mistakes_in_a_pool_are_errors_of_that_pool(
    ec2: Any, request_of: Request, only_machine: Describe
) -> None:
    """Unknown types, types not offered in the zone and unknown images do not stop the others."""
    request = request_of(types=("g9.huge", "g4dn.xlarge"), zones="ea")
    first = request["LaunchTemplateConfigs"][0]["Overrides"]
    first.insert(0, {**first[0], "InstanceType": "g4dn.xlarge", "ImageId": "ami-00000000000000000"})
    answer = ec2.create_fleet(**request)
    assert codes(answer) == [
        "InvalidAMIID.NotFound",
        "InvalidParameterValue",
        "InvalidParameterValue",
        "Unsupported",
    ]
    assert only_machine()["Placement"]["AvailabilityZone"] == "us-east-1a"


def test_the_cheapest_pool_first_where_prices_are_known(
    cloud: RehearsalCloud,
    ec2: Any,
    request_of: Request,
    only_machine: Describe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Price-capacity-optimized goes by the market's price; MaxPrice refuses what costs more."""
    prices = {"us-east-1a": 0.5, "us-east-1b": 0.2, "us-east-1c": 0.3}
    monkeypatch.setattr(cloud.market, "price", lambda _type, zone, _market: prices[zone])
    request = request_of(zones="abc")
    for override in request["LaunchTemplateConfigs"][0]["Overrides"]:
        override["MaxPrice"] = "0.35"
    cloud.capacity.refuse("*", "us-east-1b")
    answer = ec2.create_fleet(**request)
    assert codes(answer) == ["InsufficientInstanceCapacity"]
    assert only_machine()["Placement"]["AvailabilityZone"] == "us-east-1c"
    cloud.capacity.refuse("*", "us-east-1c")
    answer = ec2.create_fleet(**{**request, "ClientToken": "another"})
    assert codes(answer)[-1] == "SpotMaxPriceTooLow"
    assert ids(answer) == []


def test_on_demand_and_priorities(ec2: Any, request_of: Request, only_machine: Describe) -> None:
    """On-demand machines have no lifecycle; a prioritized fleet takes the lowest number."""
    request = request_of(
        TargetCapacitySpecification={
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "on-demand",
        },
        OnDemandOptions={"AllocationStrategy": "prioritized"},
    )
    overrides = request["LaunchTemplateConfigs"][0]["Overrides"]
    for number, override in enumerate(overrides):
        override["Priority"] = float(len(overrides) - number)
    answer = ec2.create_fleet(**request)
    assert answer["Instances"][0]["Lifecycle"] == "on-demand"
    machine = only_machine()
    assert "InstanceLifecycle" not in machine
    assert machine["Placement"]["AvailabilityZone"] == "us-east-1b"


def test_the_same_token_is_the_same_fleet(
    ec2: Any, request_of: Request, only_machine: Describe
) -> None:
    """The stored request replayed gives fleet and machine again; a changed one is refused."""
    request = request_of()
    first = ec2.create_fleet(**request)
    again = ec2.create_fleet(**request)
    assert (again["FleetId"], ids(again)) == (first["FleetId"], ids(first))
    assert [only_machine()["InstanceId"]] == ids(first)
    changed = {**request, "SpotOptions": {"AllocationStrategy": "lowest-price"}}
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        ec2.create_fleet(**changed)


def test_a_template_that_is_not_there_is_an_exception(ec2: Any, request_of: Request) -> None:
    """The request itself is wrong then: nothing is tried."""
    request = request_of()
    spec = {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"}
    request["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"] = spec
    with pytest.raises(ClientError, match="InvalidLaunchTemplateId"):
        ec2.create_fleet(**request)


def test_instant_fleets_are_told_by_id_and_deleted_with_their_machines(
    ec2: Any, request_of: Request, only_machine: Describe
) -> None:
    """DescribeFleets needs ids, DescribeFleetInstances refuses, DeleteFleets terminates."""
    made = ec2.create_fleet(**request_of())
    assert ec2.describe_fleets()["Fleets"] == []
    (fleet,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
    assert (fleet["Type"], fleet["ClientToken"]) == ("instant", "run-1-1")
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        ec2.describe_fleet_instances(FleetId=made["FleetId"])
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=False)
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    assert only_machine()["State"]["Name"] == "shutting-down"


def test_other_fleets_are_not_emulated(ec2: Any, request_of: Request) -> None:
    """`maintain` and `request` say so."""
    with pytest.raises(ClientError, match="NotEmulated"):
        ec2.create_fleet(**request_of(Type="maintain"))


def test_the_spot_role_appears_with_the_first_spot_machine(
    cloud: RehearsalCloud, ec2: Any, request_of: Request
) -> None:
    """EC2 makes its service-linked role itself; making it again is refused as AWS does."""
    iam = cloud.clients("iam", "us-east-1")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName="AWSServiceRoleForEC2Spot")
    ec2.create_fleet(**request_of())
    assert iam.get_role(RoleName="AWSServiceRoleForEC2Spot")["Role"]["Path"] == (
        "/aws-service-role/spot.amazonaws.com/"
    )
    with pytest.raises(ClientError, match="has been taken") as taken:
        iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    assert taken.value.response["Error"]["Code"] == "InvalidInput"
    with pytest.raises(ClientError, match="UnmodifiableEntity"):
        iam.delete_role(RoleName="AWSServiceRoleForEC2Spot")


def test_the_spot_role_can_be_made_beforehand(cloud: RehearsalCloud) -> None:
    """`up` makes it in a fresh account."""
    iam = cloud.clients("iam", "us-east-1")
    made = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]
    assert made["RoleName"] == "AWSServiceRoleForEC2Spot"
