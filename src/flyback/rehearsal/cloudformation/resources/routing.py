"""AWS::EC2::RouteTable, Route, SubnetRouteTableAssociation and VPCEndpoint."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
)
from flyback.rehearsal.cloudformation.resources.tagging_ec2 import retag, tagged

__all__ = ["Route", "RouteTable", "SubnetRouteTableAssociation", "VpcEndpoint"]

_TARGETS = ("GatewayId", "NatGatewayId")
_LISTS = {
    "RouteTableIds": "RouteTableIds",
    "SecurityGroupIds": "SecurityGroupIds",
    "SubnetIds": "SubnetIds",
}


class RouteTable(Handler):
    """A route table."""

    type = "AWS::EC2::RouteTable"
    applies = frozenset({"Tags", "VpcId"})
    pace = Pace(create=11, update=11, delete=2)
    system_tags = True
    gone = frozenset({"InvalidRouteTableID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        answer = site.client("ec2").create_route_table(
            VpcId=desired.get("VpcId"), **tagged("route-table", desired)
        )
        table_id = answer["RouteTable"]["RouteTableId"]
        return site.claim(Made(physical_id=table_id, attributes={"RouteTableId": table_id}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        retag(site.client("ec2"), made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ec2").delete_route_table(RouteTableId=made.physical_id)


class Route(Handler):
    """A route to an internet or NAT gateway."""

    type = "AWS::EC2::Route"
    applies = frozenset({"DestinationCidrBlock", "RouteTableId", *_TARGETS})
    not_emulated = frozenset(
        {
            "CarrierGatewayId",
            "CoreNetworkArn",
            "DestinationIpv6CidrBlock",
            "DestinationPrefixListId",
            "EgressOnlyInternetGatewayId",
            "InstanceId",
            "LocalGatewayId",
            "NetworkInterfaceId",
            "OdbNetworkArn",
            "TransitGatewayId",
            "VpcEndpointId",
            "VpcPeeringConnectionId",
        }
    )
    pace = Pace(create=3, update=3, delete=2)
    gone = frozenset({"InvalidRoute.NotFound", "InvalidRouteTableID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        _must_share_network(ec2, desired)
        ec2.create_route(**_where(desired), **_target(desired))
        block = desired.get("DestinationCidrBlock")
        return site.claim(
            Made(
                physical_id=f"{desired.get('RouteTableId')}|{block}",
                attributes={"CidrBlock": block},
            )
        )

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:  # noqa: ARG002  # the protocol's
        ec2 = site.client("ec2")
        _must_share_network(ec2, new)
        ec2.replace_route(**_where(new), **_target(new))
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ec2").delete_route(**_where(last))


class SubnetRouteTableAssociation(Handler):
    """A subnet's route table."""

    type = "AWS::EC2::SubnetRouteTableAssociation"
    applies = frozenset({"RouteTableId", "SubnetId"})
    pace = Pace(create=3, update=3, delete=2)
    gone = frozenset({"InvalidAssociationID.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        subnet = desired.get("SubnetId")
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        if ec2.describe_route_tables(Filters=filters)["RouteTables"]:
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {desired.get('RouteTableId')} "
                "conflicts with an existing association",
            )
        association = ec2.associate_route_table(
            RouteTableId=desired.get("RouteTableId"), SubnetId=subnet
        )["AssociationId"]
        return site.claim(Made(physical_id=association, attributes={"Id": association}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:  # noqa: ARG002  # the protocol's
        return made  # both properties are create-only

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ec2").disassociate_route_table(AssociationId=made.physical_id)


class VpcEndpoint(Handler):
    """A gateway or interface endpoint."""

    type = "AWS::EC2::VPCEndpoint"
    applies = frozenset(
        {
            "PolicyDocument",
            "PrivateDnsEnabled",
            "ServiceName",
            "Tags",
            "VpcEndpointType",
            "VpcId",
            *_LISTS,
        }
    )
    not_emulated = frozenset(
        {
            "DnsOptions",
            "IpAddressType",
            "ResourceConfigurationArn",
            "ServiceNetworkArn",
            "ServiceRegion",
        }
    )
    pace = Pace(create=20, update=20, delete=20)
    system_tags = True
    gone = frozenset({"InvalidVpcEndpointId.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        given = {name: desired.get(name) for name in _LISTS if desired.get(name)}
        given["ServiceName"] = desired.get("ServiceName")
        # the API's own default is true; CloudFormation's is false, and a gateway's is always
        given["PrivateDnsEnabled"] = bool(desired.get("PrivateDnsEnabled"))
        if desired.get("PolicyDocument") is not None:
            given["PolicyDocument"] = as_document(desired.get("PolicyDocument"))
        found = site.client("ec2").create_vpc_endpoint(
            VpcId=desired.get("VpcId"),
            VpcEndpointType=desired.get("VpcEndpointType", "Gateway"),
            **given,
            **tagged("vpc-endpoint", desired),
        )["VpcEndpoint"]
        endpoint_id = found["VpcEndpointId"]
        attributes = {
            "Id": endpoint_id,
            "NetworkInterfaceIds": found.get("NetworkInterfaceIds", []),
        }
        return site.claim(Made(physical_id=endpoint_id, attributes=attributes))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2 = site.client("ec2")
        changes: dict[str, Any] = {}
        for name in _LISTS:
            before, after = set(old.get(name, [])), set(new.get(name, []))
            changes[f"Add{name}"] = sorted(after - before)
            changes[f"Remove{name}"] = sorted(before - after)
        if new.differs(old, "PolicyDocument"):
            if new.get("PolicyDocument") is None:
                changes["ResetPolicy"] = True
            else:
                changes["PolicyDocument"] = as_document(new.get("PolicyDocument"))
        if new.differs(old, "PrivateDnsEnabled"):
            changes["PrivateDnsEnabled"] = new.get("PrivateDnsEnabled", False)
        changes = {key: value for key, value in changes.items() if value not in ([], None)}
        if changes:
            ec2.modify_vpc_endpoint(VpcEndpointId=made.physical_id, **changes)
        retag(ec2, made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        answer = site.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[made.physical_id])
        for item in answer.get("Unsuccessful", []):
            error = item.get("Error", {})
            if error.get("Code") not in self.gone:
                raise AwsError(error.get("Code", "InternalError"), error.get("Message", ""))


def _where(desired: Desired) -> dict[str, Any]:
    names = ("DestinationCidrBlock", "RouteTableId")
    return {name: desired.get(name) for name in names}


def _target(desired: Desired) -> dict[str, Any]:
    return {name: desired.get(name) for name in _TARGETS if desired.get(name) is not None}


def _must_share_network(ec2: Any, desired: Desired) -> None:
    """EC2 refuses a route to a gateway that is not attached to the table's VPC."""
    gateway = desired.get("GatewayId", "")
    if not gateway.startswith("igw-"):
        return
    table = desired.get("RouteTableId")
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    (internet,) = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    if found["VpcId"] not in [item["VpcId"] for item in internet.get("Attachments", [])]:
        raise AwsError(
            "InvalidParameterValue",
            f"route table {table} and network gateway {gateway} belong to different networks",
        )
