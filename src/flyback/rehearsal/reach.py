"""Which services a machine has a way to: a request without one never arrives at AWS."""

from __future__ import annotations

import re
from typing import Any

from flyback.rehearsal.call import Call
from flyback.rehearsal.middleware.faults import DroppedError
from flyback.rehearsal.moto_state import ACCOUNT, LOCK

__all__ = ["check_reach"]

_MACHINE = re.compile(r":assumed-role/[^/]+/(i-[0-9a-f]+)$")
_EVERYWHERE = "0.0.0.0/0"
_AVAILABLE = "available"
# What botocore calls otherwise than its endpoint (VPC user guide, "AWS services that integrate").
_ENDPOINTS = {"stepfunctions": "states", "cloudwatch": "monitoring", "efs": "elasticfilesystem"}


def check_reach(call: Call) -> None:
    """Let a call through unless it comes from a machine that has no way to the service.

    Security groups are not judged, and a default VPC counts as AWS makes it: with the internet.

    Raises:
        DroppedError: there is no route, no endpoint, or no address to come back to.
    """
    found = _MACHINE.search(call.principal)
    if found is None or call.via:
        return
    with LOCK:
        placed = _instance(found[1])
        if placed is None:
            return
        region, state, instance = placed
        if not _reaches(state, instance, call, region):
            where = f"{instance.subnet_id} has no way to {call.service} in {call.region}"
            raise DroppedError(f"{found[1]} in {where}")


def _instance(instance_id: str) -> tuple[str, Any, Any] | None:
    from moto.backends import get_backend

    for region, state in get_backend("ec2")[ACCOUNT].items():
        instance = state.get_instance_by_id(instance_id)
        if instance is not None:
            return str(region), state, instance
    return None


def _reaches(state: Any, instance: Any, call: Call, region: str) -> bool:
    subnet = state.get_subnet(instance.subnet_id)
    if state.get_vpc(subnet.vpc_id).is_default:
        return True
    table = _table(state, subnet)
    if _leads_out(table, instance):
        return True
    if call.region != region:
        return False
    name = f"com.amazonaws.{region}.{_ENDPOINTS.get(call.service, call.service)}"
    return any(
        endpoint.state == _AVAILABLE
        and endpoint.vpc_id == subnet.vpc_id
        and endpoint.service_name == name
        and _serves(endpoint, table)
        for endpoint in state.vpc_end_points.values()
    )


def _table(state: Any, subnet: Any) -> Any:
    mine = [table for table in state.route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [t for t in mine if any(a.get("SubnetId") == subnet.id for a in t.associations)]
    main = [table for table in mine if table.main_association_id]
    return next(iter([*own, *main]), None)


def _leads_out(table: Any, instance: Any) -> bool:
    for route in table.routes if table is not None else ():
        if route.destination_cidr_block != _EVERYWHERE:
            continue
        if not str(route.gateway_id or "").startswith("igw-"):
            return True  # a NAT, transit or other gateway
        return bool(instance.public_ip)
    return False


def _serves(endpoint: Any, table: Any) -> bool:
    if str(endpoint.vpc_endpoint_type or "Gateway").lower() == "gateway":
        return table is not None and table.id in (endpoint.route_table_ids or [])
    return bool(endpoint.private_dns_enabled)
