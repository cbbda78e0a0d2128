"""An emulated cloud whose machines exist in the API only, and a client's place in its time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.market import Conditions

REGION = "us-east-1"
SESSION = boto3.Session()  # one, for each new one reads the service models again


class RecordingHost:
    """Writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def boot(self, instance_id: str, region: str) -> None:
        assert region == REGION
        self.asked.append(("boot", instance_id))

    def halt(self, instance_id: str) -> None:
        self.asked.append(("halt", instance_id))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RehearsalCloud]:
    held = RehearsalCloud(tmp_path)
    held.conditions = Conditions.calm()  # these tests refuse by name what they want refused
    held.policy = None  # root: these tests are about the account, and ask what no deployer may
    with held as cloud:
        cloud.machines.host = RecordingHost()
        yield cloud


@pytest.fixture
def asked(cloud: RehearsalCloud) -> list[tuple[str, str]]:
    """What the host of the machines was asked, in order."""
    host = cloud.machines.host
    assert isinstance(host, RecordingHost)
    return host.asked


@pytest.fixture
def passing(cloud: RehearsalCloud) -> Iterator[Callable[[float], None]]:
    """Lets simulated seconds pass."""
    participant = cloud.clock.participant("test")
    participant.join()
    yield participant.sleep
    participant.leave()


@pytest.fixture
def http(cloud: RehearsalCloud) -> Iterator[Callable[..., Any]]:
    """boto3 clients over the socket, with the root user's key or another."""
    made = []

    def client(service: str, *, region: str = REGION, **fields: Any) -> Any:
        environment = cloud.environment()
        config = Config(
            retries={"total_max_attempts": fields.get("attempts", 1)},
            signature_version=fields.get("signature_version"),
        )
        made.append(
            SESSION.client(
                service,
                region_name=region,
                endpoint_url=cloud.endpoint,
                aws_access_key_id=fields.get("key", environment["AWS_ACCESS_KEY_ID"]),
                aws_secret_access_key=fields.get("secret", environment["AWS_SECRET_ACCESS_KEY"]),
                aws_session_token=fields.get("token"),
                config=config,
            )
        )
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def ec2(cloud: RehearsalCloud) -> Any:
    return cloud.clients("ec2", REGION)


@pytest.fixture
def dlami(cloud: RehearsalCloud) -> str:
    """Image id of the Deep Learning AMI."""
    return image(
        cloud, "deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    )


def image(cloud: RehearsalCloud, name: str) -> str:
    found = cloud.clients("ssm", REGION).get_parameter(Name=f"/aws/service/{name}")
    return str(found["Parameter"]["Value"])


@pytest.fixture
def profile(cloud: RehearsalCloud) -> str:
    """Name of an instance profile with a role."""
    iam = cloud.clients("iam", REGION)
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"},
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_role(RoleName="machine", AssumeRolePolicyDocument=json.dumps(trust))
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    return "machine"


@pytest.fixture
def template(ec2: Any, profile: str) -> str:
    """A launch template like the product's: everything in it that moto would drop."""
    tags = [{"Key": "Project", "Value": "template"}, {"Key": "Owner", "Value": "template"}]
    data = {
        "InstanceInitiatedShutdownBehavior": "terminate",
        "IamInstanceProfile": {"Name": profile},
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "VolumeSize": 100,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "AssociatePublicIpAddress": True, "DeleteOnTermination": True}
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags}
            for kind in ("instance", "volume", "network-interface")
        ],
        "UserData": "IyEvYmluL2Jhc2gKZWNobyBoaQo=",
    }
    made = ec2.create_launch_template(
        LaunchTemplateName="machine",
        LaunchTemplateData=data,
        TagSpecifications=[
            {"ResourceType": "launch-template", "Tags": [{"Key": "of", "Value": "template"}]}
        ],
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


@pytest.fixture
def subnets(ec2: Any) -> dict[str, str]:
    """Default subnets: availability zone → id."""
    found = ec2.describe_subnets()["Subnets"]
    return {item["AvailabilityZone"]: item["SubnetId"] for item in found}


@pytest.fixture
def only_machine(ec2: Any) -> Callable[[], dict[str, Any]]:
    """The only machine, as DescribeInstances gives it."""

    def describe() -> dict[str, Any]:
        found = [
            instance
            for group in ec2.describe_instances()["Reservations"]
            for instance in group["Instances"]
        ]
        assert len(found) == 1
        return dict(found[0])

    return describe
