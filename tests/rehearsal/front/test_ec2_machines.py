"""The life of a machine on simulated time, whoever ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import START, RehearsalCloud

Passing = Callable[[float], None]
Describe = Callable[[], dict[str, Any]]
Asked = list[tuple[str, str]]


@pytest.fixture
def machine(ec2: Any, template: str, dlami: str) -> str:
    """Id of an on-demand machine that terminates when it shuts down."""
    answer = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template},
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
    )
    return str(answer["Instances"][0]["InstanceId"])


@pytest.fixture
def spot(ec2: Any, template: str, dlami: str) -> str:
    """Id of a one-time spot machine."""
    answer = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template},
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        InstanceMarketOptions={"MarketType": "spot"},
        MinCount=1,
        MaxCount=1,
    )
    return str(answer["Instances"][0]["InstanceId"])


def left(ec2: Any) -> list[str]:
    """What a machine could leave behind."""
    volumes = [item["VolumeId"] for item in ec2.describe_volumes()["Volumes"]]
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    return volumes + [item["NetworkInterfaceId"] for item in found]


def test_a_machine_boots_once_and_runs(
    machine: str, asked: Asked, passing: Passing, only_machine: Describe
) -> None:
    """Pending until its while has passed; the host boots it from a clock event, once."""
    assert only_machine()["State"]["Name"] == "pending"
    passing(5)
    assert only_machine()["State"]["Name"] == "pending"
    passing(20)
    assert only_machine()["State"] == {"Code": 16, "Name": "running"}
    assert only_machine()["LaunchTime"].timestamp() == START
    assert asked == [("boot", machine)]


def test_terminating_takes_its_while_and_leaves_nothing(
    ec2: Any, machine: str, asked: Asked, passing: Passing, only_machine: Describe
) -> None:
    """shutting-down with reason and time, the processes end at once, volume and interface last."""
    passing(100)
    (change,) = ec2.terminate_instances(InstanceIds=[machine])["TerminatingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == (
        "running",
        "shutting-down",
    )
    passing(1)
    assert asked[-1] == ("halt", machine)
    assert len(left(ec2)) == 2
    passing(60)
    described = only_machine()
    assert described["State"] == {"Code": 48, "Name": "terminated"}
    assert described["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    ended = datetime.fromtimestamp(START + 100, UTC)
    assert described["StateTransitionReason"] == f"User initiated ({ended:%Y-%m-%d %H:%M:%S} GMT)"
    assert left(ec2) == []
    again = ec2.terminate_instances(InstanceIds=[machine])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_a_terminated_machine_is_remembered_for_an_hour(
    ec2: Any, machine: str, passing: Passing, only_machine: Describe
) -> None:
    """Described until then, and unknown afterwards."""
    ec2.terminate_instances(InstanceIds=[machine])
    passing(3000)
    assert only_machine()["InstanceId"] == machine
    passing(1000)
    assert ec2.describe_instances()["Reservations"] == []
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.describe_instances(InstanceIds=[machine])


def test_shutting_down_from_inside_terminates(
    cloud: RehearsalCloud, ec2: Any, spot: str, passing: Passing, only_machine: Describe
) -> None:
    """`shutdown` on the machine: terminated, with the reason that tells it from a user's."""
    passing(100)
    cloud.machines.power_off(spot)
    assert only_machine()["State"]["Name"] == "shutting-down"
    passing(60)
    described = only_machine()
    assert described["State"]["Name"] == "terminated"
    assert described["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }
    assert left(ec2) == []
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["State"] == "closed"
    cloud.machines.power_off(spot)
    cloud.machines.power_off("i-0123456789abcdef0")


def test_a_reclaimed_machine(
    cloud: RehearsalCloud, ec2: Any, spot: str, passing: Passing, only_machine: Describe
) -> None:
    """EC2 took it: the reason tells it from every other end."""
    passing(100)
    cloud.machines.reclaim(spot)
    passing(60)
    assert only_machine()["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["Status"]["Code"] == "instance-terminated-no-capacity"


def test_shutting_down_from_inside_stops_where_it_shall(
    cloud: RehearsalCloud, ec2: Any, dlami: str, passing: Passing, only_machine: Describe
) -> None:
    """Without the template's `terminate`, AWS's default is to stop: the volume stays and bills."""
    answer = ec2.run_instances(ImageId=dlami, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    passing(60)
    cloud.machines.power_off(answer["Instances"][0]["InstanceId"])
    passing(60)
    assert only_machine()["State"]["Name"] == "stopped"
    assert len(left(ec2)) == 2


def test_stopping_and_starting(
    ec2: Any, machine: str, asked: Asked, passing: Passing, only_machine: Describe
) -> None:
    """A stopped machine keeps its volume, loses its address, and boots again when started."""
    passing(60)
    ec2.stop_instances(InstanceIds=[machine])
    assert only_machine()["State"]["Name"] == "stopping"
    passing(60)
    assert only_machine()["State"]["Name"] == "stopped"
    assert "PublicIpAddress" not in only_machine()
    ec2.start_instances(InstanceIds=[machine])
    assert only_machine()["State"]["Name"] == "pending"
    passing(60)
    described = only_machine()
    assert described["State"]["Name"] == "running"
    assert described["LaunchTime"].timestamp() == START + 120
    assert asked == [("boot", machine), ("halt", machine), ("boot", machine)]


def test_a_one_time_spot_machine_does_not_stop(ec2: Any, spot: str, passing: Passing) -> None:
    """AWS refuses, and so does this."""
    passing(60)
    with pytest.raises(ClientError, match="one-time Spot Instance request"):
        ec2.stop_instances(InstanceIds=[spot])


def test_rebooting(
    ec2: Any, machine: str, asked: Asked, passing: Passing, only_machine: Describe
) -> None:
    """The processes end and it boots again; EC2 calls it running all the while."""
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.reboot_instances(InstanceIds=[machine])
    passing(60)
    ec2.reboot_instances(InstanceIds=[machine])
    passing(1)
    assert only_machine()["State"]["Name"] == "running"
    assert asked == [("boot", machine), ("halt", machine), ("boot", machine)]


def test_terminated_before_it_ran(
    ec2: Any, machine: str, passing: Passing, only_machine: Describe
) -> None:
    """A machine that ends while pending never becomes running."""
    ec2.terminate_instances(InstanceIds=[machine])
    passing(16)
    assert only_machine()["State"]["Name"] == "shutting-down"
    passing(60)
    assert only_machine()["State"]["Name"] == "terminated"


def test_termination_protection_and_dry_runs(
    ec2: Any, machine: str, only_machine: Describe
) -> None:
    """A protected machine stays; a dry run changes nothing; an unknown one is an error."""
    ec2.modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": True})
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[machine])
    with pytest.raises(ClientError, match="DryRunOperation"):
        ec2.terminate_instances(InstanceIds=[machine], DryRun=True)
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    assert only_machine()["State"]["Name"] == "pending"


def test_machines_of_two_regions(cloud: RehearsalCloud, dlami: str, passing: Passing) -> None:
    """A shutdown finds its machine in whichever region it is."""
    west = cloud.clients("ec2", "us-west-2")
    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    image = cloud.clients("ssm", "us-west-2").get_parameter(Name=name)["Parameter"]["Value"]
    assert image != dlami
    cloud.machines.host = _Anywhere()
    answer = west.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    passing(60)
    cloud.machines.power_off(answer["Instances"][0]["InstanceId"])
    passing(60)
    (group,) = west.describe_instances()["Reservations"]
    assert group["Instances"][0]["State"]["Name"] == "stopped"


class _Anywhere:
    def boot(self, instance_id: str, region: str) -> None:
        assert (instance_id[:2], region) == ("i-", "us-west-2")

    def halt(self, instance_id: str) -> None:
        """Nothing runs."""
