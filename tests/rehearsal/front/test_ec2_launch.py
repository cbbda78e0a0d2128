"""RunInstances: what EC2 says of a machine afterwards is what AWS would say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import START, RehearsalCloud
from flyback.rehearsal.ec2.images import IMAGES

REGION = "us-east-1"
Describe = Callable[[], dict[str, Any]]


def run(ec2: Any, **fields: Any) -> dict[str, Any]:
    return dict(ec2.run_instances(**{"MinCount": 1, "MaxCount": 1, **fields}))


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def tags_of(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["Tags"]}


@pytest.fixture
def launched(ec2: Any, template: str, dlami: str, subnets: dict[str, str]) -> dict[str, Any]:
    """A spot machine by template, with overrides in the request."""
    answer = run(
        ec2,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        InstanceMarketOptions={
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time"},
        },
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "request"}]}
        ],
    )
    assert subnets
    return dict(answer["Instances"][0])


def test_a_template_is_expanded_whole(
    ec2: Any, launched: dict[str, Any], template: str, only_machine: Describe
) -> None:
    """Profile, metadata options, shutdown behaviour, user-data and tags of the template arrive."""
    machine = only_machine()
    assert machine["InstanceId"] == launched["InstanceId"]
    assert machine["IamInstanceProfile"]["Arn"].endswith(":instance-profile/machine")
    options = machine["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert options["InstanceMetadataTags"] == "enabled"
    assert tags_of(machine) == {
        "Project": "template",
        "Owner": "request",
        "aws:ec2launchtemplate:id": template,
        "aws:ec2launchtemplate:version": "1",
    }
    assert machine["LaunchTime"].timestamp() == START
    asked = {"InstanceId": machine["InstanceId"]}
    behavior = ec2.describe_instance_attribute(
        Attribute="instanceInitiatedShutdownBehavior", **asked
    )
    assert behavior["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    user_data = ec2.describe_instance_attribute(Attribute="userData", **asked)
    assert user_data["UserData"]["Value"] == "IyEvYmluL2Jhc2gKZWNobyBoaQo="


def test_there_is_one_volume_and_it_is_the_templates(ec2: Any, launched: dict[str, Any]) -> None:
    """No phantom volume: one encrypted gp3 of the size asked for, that goes with its machine."""
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
    assert (volume["State"], volume["Iops"]) == ("in-use", 3000)
    assert tags_of(volume) == {"Project": "template", "Owner": "template"}
    (attached,) = volume["Attachments"]
    assert (attached["InstanceId"], attached["Device"]) == (launched["InstanceId"], "/dev/sda1")
    machine = ec2.describe_instances()["Reservations"][0]["Instances"][0]
    (mapping,) = machine["BlockDeviceMappings"]
    assert mapping["DeviceName"] == machine["RootDeviceName"] == "/dev/sda1"
    assert mapping["Ebs"]["DeleteOnTermination"] is True


def test_a_spot_machine_has_its_request(ec2: Any, launched: dict[str, Any]) -> None:
    """Lifecycle and request id are on the machine, and the request names the machine."""
    assert (launched["InstanceLifecycle"], launched["State"]["Name"]) == ("spot", "pending")
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["SpotInstanceRequestId"] == launched["SpotInstanceRequestId"]
    assert (request["InstanceId"], request["State"]) == (launched["InstanceId"], "active")
    assert request["Status"]["Code"] == "fulfilled"
    by_machine = [{"Name": "instance-id", "Values": [launched["InstanceId"]]}]
    found = ec2.describe_spot_instance_requests(Filters=by_machine)["SpotInstanceRequests"]
    assert found == [request]
    other = [{"Name": "instance-id", "Values": ["i-0123456789abcdef0"]}]
    assert ec2.describe_spot_instance_requests(Filters=other)["SpotInstanceRequests"] == []


def test_the_network_is_the_templates(ec2: Any, launched: dict[str, Any]) -> None:
    """One interface, tagged, with private and public address, gone with its machine."""
    (interface,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert interface["PrivateIpAddress"] == launched["PrivateIpAddress"]
    assert interface["Association"]["PublicIp"] == launched["PublicIpAddress"]
    assert interface["Attachment"]["DeleteOnTermination"] is True
    assert {tag["Key"] for tag in interface["TagSet"]} == {"Project", "Owner"}


def test_an_on_demand_machine_without_template(
    ec2: Any, dlami: str, subnets: dict[str, str], only_machine: Describe
) -> None:
    """Defaults: the image's own root volume, the default security group, no lifecycle."""
    run(ec2, ImageId=dlami, InstanceType="t3.micro", SubnetId=subnets["us-east-1c"])
    machine = only_machine()
    assert "InstanceLifecycle" not in machine
    assert machine["Placement"]["AvailabilityZone"] == "us-east-1c"
    assert [group["GroupName"] for group in machine["SecurityGroups"]] == ["default"]
    (volume,) = ec2.describe_volumes()["Volumes"]
    image = ec2.describe_images(ImageIds=[dlami])["Images"][0]
    assert volume["Size"] == image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
    assert volume["VolumeType"] == "gp3"


def test_another_device_name_is_another_volume(ec2: Any, dlami: str) -> None:
    """AWS's trap: a mapping that misses the image's root device name makes a second volume."""
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 50, "VolumeType": "gp3"}}
    run(ec2, ImageId=dlami, InstanceType="t3.micro", BlockDeviceMappings=[disk])
    volumes = ec2.describe_volumes()["Volumes"]
    assert sorted(volume["Attachments"][0]["Device"] for volume in volumes) == [
        "/dev/sda1",
        "/dev/xvda",
    ]


def test_an_image_named_by_parameter(ec2: Any, dlami: str, only_machine: Describe) -> None:
    """`resolve:ssm:` finds the image."""
    name = IMAGES[0].parameter
    run(ec2, ImageId=f"resolve:ssm:{name}", InstanceType="t3.micro")
    assert only_machine()["ImageId"] == dlami


def test_the_same_token_is_the_same_launch(ec2: Any, dlami: str, only_machine: Describe) -> None:
    """A replay gives the same machine, also later; other parameters are refused."""
    request = {"ImageId": dlami, "InstanceType": "t3.micro", "ClientToken": "token-1"}
    first, again = run(ec2, **request), run(ec2, **request)
    assert first["Instances"][0]["InstanceId"] == again["Instances"][0]["InstanceId"]
    assert first["ReservationId"] == again["ReservationId"]
    assert only_machine()["InstanceId"] == first["Instances"][0]["InstanceId"]
    with pytest.raises(ClientError) as refused:
        run(ec2, **{**request, "InstanceType": "t3.small"})
    assert code_of(refused) == "IdempotentParameterMismatch"
    assert (
        run(ec2, **{**request, "ClientToken": "token-2"})["ReservationId"]
        != (first["ReservationId"])
    )


def test_a_failed_launch_does_not_use_up_its_token(
    cloud: RehearsalCloud, ec2: Any, dlami: str
) -> None:
    """After an error the stored request may be replayed verbatim and then succeeds."""
    request = {"ImageId": dlami, "InstanceType": "t3.micro", "ClientToken": "token-1"}
    cloud.capacity.refuse("t3.micro")
    with pytest.raises(ClientError) as refused:
        run(ec2, **request)
    assert code_of(refused) == "InsufficientInstanceCapacity"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    cloud.capacity.restore("t3.micro")
    assert run(ec2, **request)["Instances"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no image", {"InstanceType": "t3.micro"}, "MissingParameter"),
    ("unknown image", {"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
    ("no image id", {"ImageId": "banana"}, "InvalidAMIID.Malformed"),
    ("unknown type", {"InstanceType": "g9.huge"}, "InvalidParameterValue"),
    ("another architecture", {"InstanceType": "g5g.xlarge"}, "InvalidParameterValue"),
    ("not in that zone", {"InstanceType": "g4dn.xlarge", "Zone": "us-east-1e"}, "Unsupported"),
    ("not in that region", {"InstanceType": "p4de.24xlarge", "Region": "eu-west-2"}, "Unsupported"),
    ("unknown subnet", {"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
    ("unknown group", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
    ("unknown profile", {"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
    (
        "unknown template",
        {"LaunchTemplate": {"LaunchTemplateName": "nothing"}},
        "InvalidLaunchTemplateName.NotFoundException",
    ),
    (
        "unknown template id",
        {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}},
        "InvalidLaunchTemplateId.NotFound",
    ),
    (
        "volume below its snapshot",
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]},
        "InvalidBlockDeviceMapping",
    ),
    (
        "subnet beside an interface",
        {"SubnetId": "subnet-1", "NetworkInterfaces": [{"DeviceIndex": 0}]},
        "InvalidParameterCombination",
    ),
    ("a dry run", {"DryRun": True}, "DryRunOperation"),
]


@pytest.mark.parametrize(
    ("fields", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_aws_would_refuse(
    cloud: RehearsalCloud, dlami: str, fields: dict[str, Any], code: str
) -> None:
    """Each wrong launch gets AWS's error code, and nothing is made."""
    region = fields.pop("Region", REGION)
    ec2 = cloud.clients("ec2", region)
    if region != REGION:
        dlami = cloud.clients("ssm", region).get_parameter(Name=IMAGES[0].parameter)["Parameter"][
            "Value"
        ]
    request = {"ImageId": dlami, "InstanceType": "t3.micro", **fields}
    if fields == {"InstanceType": "t3.micro"}:
        del request["ImageId"]
    if zone := request.pop("Zone", None):
        request["Placement"] = {"AvailabilityZone": zone}
    with pytest.raises(ClientError) as refused:
        run(ec2, **request)
    assert code_of(refused) == code
    assert ec2.describe_instances()["Reservations"] == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_version_of_a_template(ec2: Any, template: str, dlami: str) -> None:
    """$Default, $Latest and numbers are told apart; a version that is not there is an error."""
    ec2.create_launch_template_version(
        LaunchTemplateId=template,
        SourceVersion="1",
        LaunchTemplateData={"InstanceType": "t3.small", "UserData": "aGk="},
    )
    types = []
    for version in ("$Latest", "2"):
        answer = run(
            ec2,
            ImageId=dlami,
            LaunchTemplate={"LaunchTemplateId": template, "Version": version},
        )
        types.append(answer["Instances"][0]["InstanceType"])
    assert types == ["t3.small", "t3.small"]
    with pytest.raises(ClientError) as refused:
        run(ec2, LaunchTemplate={"LaunchTemplateId": template, "Version": "3"})
    assert code_of(refused) == "InvalidLaunchTemplateId.VersionNotFound"


def test_public_images(cloud: RehearsalCloud, ec2: Any, dlami: str) -> None:
    """Each public parameter names a registered image, both ways SSM is asked; own ones too."""
    ssm = cloud.clients("ssm", REGION)
    ssm.put_parameter(Name="/own", Value="mine", Type="String")
    names = [image.parameter for image in IMAGES]
    found = ssm.get_parameters(Names=[*names, "/own", "/nothing"])
    values = {item["Name"]: item["Value"] for item in found["Parameters"]}
    assert set(values) == {*names, "/own"}
    assert (values["/own"], found["InvalidParameters"]) == ("mine", ["/nothing"])
    assert values[names[0]] == dlami
    path = names[0].rpartition("/")[0]
    (listed,) = ssm.get_parameters_by_path(Path=path)["Parameters"]
    assert listed["Value"] == dlami
    for image in IMAGES:
        (described,) = ec2.describe_images(ImageIds=[values[image.parameter]])["Images"]
        assert described["RootDeviceName"] == image.root_device
        assert described["Architecture"] == image.architecture
        (mapping,) = described["BlockDeviceMappings"]
        assert mapping["Ebs"]["VolumeSize"] == image.root_gib
    assert [image.name for image in IMAGES if not image.verified] == [IMAGES[0].name] * 2
