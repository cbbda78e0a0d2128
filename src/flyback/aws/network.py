"""VPCs as they stand: subnets, the ways out of them, and endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyback.aws.service import Service

__all__ = ["Network", "PlacedSubnet", "RouteTable", "Vpc"]

_DEAD = frozenset({"deleted", "deleting", "failed", "rejected", "expired"})
_EVERYWHERE = "0.0.0.0/0"
_TARGETS = (
    *("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId"),
    *("VpcPeeringConnectionId", "CarrierGatewayId", "LocalGatewayId"),
)


@dataclass(frozen=True, kw_only=True)
class PlacedSubnet:
    """A subnet, its VPC and its availability zone."""

    subnet_id: str
    vpc_id: str
    zone: str


@dataclass(frozen=True, kw_only=True)
class RouteTable:
    """Where a route table sends what leaves the VPC.

    Args:
        default: Target of the route to everywhere (`igw-…`, `nat-…`); empty where there is none.
        main: Whether it serves the subnets that no table names.
        subnets: Those that it serves by name.
    """

    table_id: str
    default: str
    main: bool
    subnets: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Vpc:
    """Route tables and endpoints of a VPC.

    Args:
        interfaces: Services that an interface endpoint gives their usual name in the VPC.
        gateways: Service → route tables that send to its gateway endpoint.
    """

    tables: tuple[RouteTable, ...]
    interfaces: frozenset[str]
    gateways: Mapping[str, frozenset[str]]

    def table_of(self, subnet_id: str) -> RouteTable | None:
        """The route table of a subnet: its own, else the main one."""
        own = [table for table in self.tables if subnet_id in table.subnets]
        return next(iter([*own, *(table for table in self.tables if table.main)]), None)

    def reaches(self, service: str, subnet_id: str) -> bool:
        """Whether a machine without a public address has a way to a service of the region."""
        table = self.table_of(subnet_id)
        if table is not None and table.default and not table.default.startswith("igw-"):
            return True
        through_gateway = self.gateways.get(service, frozenset())
        return service in self.interfaces or (
            table is not None and table.table_id in through_gateway
        )


class Network(Service):
    """The network part of EC2; only looks."""

    def vpc_exists(self, vpc_id: str) -> bool:
        """Whether there is such a VPC."""
        filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
        return bool(self._call("describe_vpcs", Filters=filters)["Vpcs"])

    def subnets(self, subnet_ids: Sequence[str]) -> tuple[PlacedSubnet, ...]:
        """Those of the subnets that exist."""
        return self._subnets("subnet-id", subnet_ids)

    def subnets_of(self, vpc_id: str) -> tuple[PlacedSubnet, ...]:
        """All subnets of a VPC."""
        return self._subnets("vpc-id", [vpc_id])

    def vpc(self, vpc_id: str) -> Vpc:
        """Route tables and endpoints of a VPC."""
        filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
        tables = self._pages("describe_route_tables", "RouteTables", Filters=filters)
        interfaces: set[str] = set()
        gateways: dict[str, frozenset[str]] = {}
        for item in self._pages("describe_vpc_endpoints", "VpcEndpoints", Filters=filters):
            if str(item.get("State", "")).lower() in _DEAD:
                continue
            service = str(item["ServiceName"]).split(".", 3)[-1]  # com.amazonaws.REGION.SERVICE
            if item.get("VpcEndpointType", "Gateway") == "Gateway":
                served = frozenset(item.get("RouteTableIds", []))
                gateways[service] = gateways.get(service, frozenset()) | served
            elif item.get("PrivateDnsEnabled"):
                interfaces.add(service)
        return Vpc(
            tables=tuple(_table(item) for item in tables),
            interfaces=frozenset(interfaces),
            gateways=gateways,
        )

    def _subnets(self, name: str, values: Sequence[str]) -> tuple[PlacedSubnet, ...]:
        filters = [{"Name": name, "Values": list(values)}]
        found = self._pages("describe_subnets", "Subnets", Filters=filters)
        return tuple(
            PlacedSubnet(
                subnet_id=item["SubnetId"],
                vpc_id=item["VpcId"],
                zone=item["AvailabilityZone"],
            )
            for item in found
        )


def _table(item: Mapping[str, Any]) -> RouteTable:
    defaults = [
        next((str(route[key]) for key in _TARGETS if route.get(key)), "")
        for route in item.get("Routes", [])
        if route.get("DestinationCidrBlock") == _EVERYWHERE and route.get("State") != "blackhole"
    ]
    associations = item.get("Associations", [])
    return RouteTable(
        table_id=item["RouteTableId"],
        default=next(iter(defaults), ""),
        main=any(entry.get("Main") for entry in associations),
        subnets=frozenset(entry["SubnetId"] for entry in associations if entry.get("SubnetId")),
    )
