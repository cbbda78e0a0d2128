"""AWS::EC2::VPC, Subnet, InternetGateway and VPCGatewayAttachment."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    unless,
)
from flyback.rehearsal.cloudformation.resources.tagging_ec2 import retag, tagged

__all__ = ["InternetGateway", "Subnet", "Vpc", "VpcGatewayAttachment"]

_DNS = {"EnableDnsHostnames": False, "EnableDnsSupport": True}
_ATTACHED = frozenset({"Gateway.NotAttached", "Resource.AlreadyAssociated"})
_GONE_STATES = frozenset({"deleted", "terminated"})


class Vpc(Handler):
    """A virtual network."""

    type = "AWS::EC2::VPC"
    applies = frozenset({"CidrBlock", "InstanceTenancy", "Tags", *_DNS})
    not_emulated = frozenset({"Ipv4IpamPoolId", "Ipv4NetmaskLength", "VpcEncryptionControl"})
    pace = Pace(create=12, update=12, delete=2)
    system_tags = True
    gone = frozenset({"InvalidVpcID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        vpc_id = ec2.create_vpc(
            CidrBlock=desired.get("CidrBlock"),
            InstanceTenancy=desired.get("InstanceTenancy", "default"),
            **tagged("vpc", desired),
        )["Vpc"]["VpcId"]
        site.claim(Made(physical_id=vpc_id))
        made = site.claim(Made(physical_id=vpc_id, attributes=_vpc_attributes(ec2, vpc_id)))
        for name, default in _DNS.items():
            self._dns(ec2, vpc_id, name, desired.get(name, default))
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2 = site.client("ec2")
        for name, default in _DNS.items():
            if new.differs(old, name):
                self._dns(ec2, made.physical_id, name, new.get(name, default))
        retag(ec2, made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        ec2, vpc_id = site.client("ec2"), made.physical_id
        if _holds_dependents(ec2, vpc_id):
            sentence = f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
            raise AwsError("DependencyViolation", sentence)
        ec2.delete_vpc(VpcId=vpc_id)

    @staticmethod
    def _dns(ec2: Any, vpc_id: str, name: str, value: bool) -> None:  # noqa: FBT001  # the API's value
        ec2.modify_vpc_attribute(VpcId=vpc_id, **{name: {"Value": value}})


class Subnet(Handler):
    """A subnet."""

    type = "AWS::EC2::Subnet"
    applies = frozenset(
        {
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "MapPublicIpOnLaunch",
            "Tags",
            "VpcId",
        }
    )
    not_emulated = frozenset(
        {
            "AssignIpv6AddressOnCreation",
            "EnableDns64",
            "EnableLniAtDeviceIndex",
            "Ipv4IpamPoolId",
            "Ipv4NetmaskLength",
            "Ipv6CidrBlock",
            "Ipv6IpamPoolId",
            "Ipv6Native",
            "Ipv6NetmaskLength",
            "OutpostArn",
            "PrivateDnsNameOptionsOnLaunch",
        }
    )
    pace = Pace(create=5, update=5, delete=2)
    system_tags = True
    gone = frozenset({"InvalidSubnetID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        names = ("AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "VpcId")
        given = {name: desired.get(name) for name in names if desired.get(name) is not None}
        found = ec2.create_subnet(**given, **tagged("subnet", desired))["Subnet"]
        subnet_id = found["SubnetId"]
        made = site.claim(
            Made(
                physical_id=subnet_id,
                attributes={
                    "SubnetId": subnet_id,
                    "AvailabilityZone": found["AvailabilityZone"],
                    "AvailabilityZoneId": found["AvailabilityZoneId"],
                },
            )
        )
        if desired.get("MapPublicIpOnLaunch") is not None:
            self._public(ec2, subnet_id, desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2 = site.client("ec2")
        if new.differs(old, "MapPublicIpOnLaunch"):
            self._public(ec2, made.physical_id, new)
        retag(ec2, made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        ec2, subnet_id = site.client("ec2"), made.physical_id
        if _interfaces(ec2, "subnet-id", subnet_id):
            sentence = f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
            raise AwsError("DependencyViolation", sentence)
        ec2.delete_subnet(SubnetId=subnet_id)

    @staticmethod
    def _public(ec2: Any, subnet_id: str, desired: Desired) -> None:
        value = {"Value": desired.get("MapPublicIpOnLaunch", False)}
        ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch=value)


class InternetGateway(Handler):
    """An internet gateway."""

    type = "AWS::EC2::InternetGateway"
    applies = frozenset({"Tags"})
    pace = Pace(create=16, update=16, delete=2)
    system_tags = True
    gone = frozenset({"InvalidInternetGatewayID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        answer = site.client("ec2").create_internet_gateway(**tagged("internet-gateway", desired))
        gateway_id = answer["InternetGateway"]["InternetGatewayId"]
        return site.claim(
            Made(physical_id=gateway_id, attributes={"InternetGatewayId": gateway_id})
        )

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        retag(site.client("ec2"), made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ec2").delete_internet_gateway(InternetGatewayId=made.physical_id)


class VpcGatewayAttachment(Handler):
    """An internet gateway's attachment to a VPC."""

    type = "AWS::EC2::VPCGatewayAttachment"
    applies = frozenset({"InternetGatewayId", "VpcId"})
    not_emulated = frozenset({"VpnGatewayId"})
    pace = Pace(create=5, update=5, delete=5)
    gone = frozenset(
        {"Gateway.NotAttached", "InvalidInternetGatewayID.NotFound", "InvalidVpcID.NotFound"}
    )

    def create(self, site: Site, desired: Desired) -> Made:
        vpc_id = desired.get("VpcId")
        site.client("ec2").attach_internet_gateway(
            InternetGatewayId=desired.get("InternetGatewayId"), VpcId=vpc_id
        )
        return site.claim(Made(physical_id=f"IGW|{vpc_id}", attributes={"AttachmentType": "IGW"}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2 = site.client("ec2")
        detach, attach = ec2.detach_internet_gateway, ec2.attach_internet_gateway
        for desired, call in ((old, detach), (new, attach)):
            gateway = {"InternetGatewayId": desired.get("InternetGatewayId")}
            unless(_ATTACHED, call, VpcId=desired.get("VpcId"), **gateway)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        ec2, vpc_id = site.client("ec2"), last.get("VpcId")
        if any(item.get("Association") for item in _interfaces(ec2, "vpc-id", vpc_id)):
            raise AwsError(
                "DependencyViolation",
                f"Network {vpc_id} has some mapped public address(es). Please unmap those public "
                "address(es) before detaching the gateway.",
            )
        ec2.detach_internet_gateway(InternetGatewayId=last.get("InternetGatewayId"), VpcId=vpc_id)


def _vpc_attributes(ec2: Any, vpc_id: str) -> dict[str, Any]:
    mine = [{"Name": "vpc-id", "Values": [vpc_id]}]
    groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    acls = ec2.describe_network_acls(Filters=mine)["NetworkAcls"]
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    blocks = vpc.get("CidrBlockAssociationSet", [])
    return {
        "VpcId": vpc_id,
        "CidrBlockAssociations": [item["AssociationId"] for item in blocks],
        "DefaultNetworkAcl": next((item["NetworkAclId"] for item in acls if item["IsDefault"]), ""),
        "DefaultSecurityGroup": next(
            (item["GroupId"] for item in groups if item["GroupName"] == "default"), ""
        ),
        "Ipv6CidrBlocks": [],
    }


def _holds_dependents(ec2: Any, vpc_id: str) -> bool:
    """What EC2 counts and the state behind the rehearsal does not; subnets and routes it does."""
    mine = [{"Name": "vpc-id", "Values": [vpc_id]}]
    groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    endpoints = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
    return (
        any(item["GroupName"] != "default" for item in groups)
        or any(item["State"] not in _GONE_STATES for item in endpoints)
        or bool(ec2.describe_internet_gateways(Filters=attached)["InternetGateways"])
        or bool(_interfaces(ec2, "vpc-id", vpc_id))
    )


def _interfaces(ec2: Any, name: str, value: str) -> list[dict[str, Any]]:
    """Network interfaces, without those whose instance is terminated."""
    filters = [{"Name": name, "Values": [value]}]
    found = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    ids = [item["Attachment"]["InstanceId"] for item in found if _instance_of(item)]
    if not ids:
        return list(found)
    wanted = [{"Name": "instance-id", "Values": sorted(set(ids))}]
    gone = {
        instance["InstanceId"]
        for reservation in ec2.describe_instances(Filters=wanted)["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] in _GONE_STATES
    }
    return [item for item in found if _instance_of(item) not in gone]


def _instance_of(interface: dict[str, Any]) -> str:
    return str(interface.get("Attachment", {}).get("InstanceId", ""))
