"""What EC2 and IAM tell of a resource that is there: the condition keys that follow from it.

Sources: service authorization reference, Amazon EC2, "Resource types" (keys of each); EC2 user
guide, "Condition keys for Amazon EC2"; IAM user guide, "IAM and AWS STS condition context keys"
(iam:PermissionsBoundary).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flyback.rehearsal.ec2.images import register
from flyback.rehearsal.moto_state import ACCOUNT, backend, known_backend

__all__ = ["boundary_of", "ec2_attributes", "subnet_of"]

Keys = dict[str, str]


def ec2_attributes(arn: str) -> Keys:
    """The keys of a resource of EC2's; none where it is not there, or has none.

    Args:
        arn: Its ARN.
    """
    fields = arn.split(":", 5)
    kind, _, identifier = fields[5].partition("/")
    read = _READERS.get(kind)
    state = known_backend("ec2", fields[3]) if read else None
    return read(state, identifier) if read and state else {}


def boundary_of(arn: str) -> Keys:
    """The key that names the permissions boundary of a role or user; none where there is none.

    Args:
        arn: Its ARN.
    """
    iam = backend("iam", "global")
    for holder in (*iam.roles.values(), *iam.users.values()):
        boundary = getattr(holder, "permissions_boundary_arn", None)
        if holder.arn == arn and boundary:
            return {"iam:PermissionsBoundary": str(boundary)}
    return {}


def subnet_of(state: Any, identifier: str) -> Any:
    """Moto's subnet; None where there is none."""
    return next((each[identifier] for each in state.subnets.values() if identifier in each), None)


def _image(state: Any, identifier: str) -> Keys:
    register(state.region_name)
    image = state.amis.get(identifier)
    if image is None:
        return {}
    return {
        "ec2:ImageID": identifier,
        "ec2:ImageType": str(image.image_type or "machine"),
        "ec2:Owner": str(image.owner_alias or image.owner_id),
        "ec2:Public": _said(image.is_public),
        "ec2:RootDeviceType": str(image.root_device_type),
    }


def _instance(state: Any, identifier: str) -> Keys:
    instance = state.get_instance_by_id(identifier)
    if instance is None:
        return {}
    options = instance.metadata_options
    keys = {
        "ec2:EbsOptimized": _said(instance.ebs_optimized),
        "ec2:InstanceID": identifier,
        "ec2:InstanceMarketType": "spot" if instance.lifecycle == "spot" else "on-demand",
        "ec2:InstanceMetadataTags": str(options.instance_metadata_tags),
        "ec2:InstanceType": str(instance.instance_type),
        "ec2:MetadataHttpEndpoint": str(options.http_endpoint),
        "ec2:MetadataHttpPutResponseHopLimit": str(options.http_put_response_hop_limit),
        "ec2:MetadataHttpTokens": str(options.http_tokens),
        "ec2:RootDeviceType": str(instance.root_device_type),
        "ec2:Tenancy": str(instance.placement.tenancy),
        **_zone(state, instance.placement.zone),
    }
    if instance.iam_instance_profile:
        keys["ec2:InstanceProfile"] = str(instance.iam_instance_profile["Arn"])
    return keys


def _interface(state: Any, identifier: str) -> Keys:
    interface = state.enis.get(identifier)
    if interface is None:
        return {}
    subnet = interface.subnet
    return {
        "ec2:NetworkInterfaceID": identifier,
        "ec2:Subnet": _arn(state, "subnet", subnet.id),
        "ec2:Vpc": _arn(state, "vpc", subnet.vpc_id),
        "ec2:AvailabilityZone": str(subnet.availability_zone),
    }


def _subnet(state: Any, identifier: str) -> Keys:
    subnet = subnet_of(state, identifier)
    if subnet is None:
        return {}
    return {
        "ec2:SubnetID": identifier,
        "ec2:Vpc": _arn(state, "vpc", subnet.vpc_id),
        **_zone(state, subnet.availability_zone),
    }


def _group(state: Any, identifier: str) -> Keys:
    group = state.get_security_group_from_id(identifier)
    if group is None:
        return {}
    return {"ec2:SecurityGroupID": identifier, "ec2:Vpc": _arn(state, "vpc", group.vpc_id)}


def _vpc(state: Any, identifier: str) -> Keys:
    vpc = state.vpcs.get(identifier)
    return {"ec2:VpcID": identifier, "ec2:Tenancy": str(vpc.instance_tenancy)} if vpc else {}


def _volume(state: Any, identifier: str) -> Keys:
    volume = state.volumes.get(identifier)
    if volume is None:
        return {}
    known = {
        "ec2:ParentSnapshot": _arn(state, "snapshot", volume.snapshot_id, owner="")
        if volume.snapshot_id
        else None,
        "ec2:VolumeIops": volume.iops,
        "ec2:VolumeThroughput": volume.throughput,
    }
    return {
        "ec2:Encrypted": _said(volume.encrypted),
        "ec2:VolumeID": identifier,
        "ec2:VolumeSize": str(volume.size),
        "ec2:VolumeType": str(volume.volume_type),
        **_zone(state, volume.zone.name),
        **{key: str(value) for key, value in known.items() if value},
    }


def _table(state: Any, identifier: str) -> Keys:
    table = state.route_tables.get(identifier)
    if table is None:
        return {}
    return {"ec2:RouteTableID": identifier, "ec2:Vpc": _arn(state, "vpc", table.vpc_id)}


def _gateway(state: Any, identifier: str) -> Keys:
    return {"ec2:InternetGatewayID": identifier} if identifier in state.internet_gateways else {}


def _key_pair(state: Any, identifier: str) -> Keys:
    pair = state.key_pairs.get(identifier)
    return {"ec2:KeyPairName": identifier, "ec2:KeyPairType": str(pair.key_type)} if pair else {}


_READERS: Mapping[str, Callable[[Any, str], Keys]] = {
    "image": _image,
    "instance": _instance,
    "internet-gateway": _gateway,
    "key-pair": _key_pair,
    "network-interface": _interface,
    "route-table": _table,
    "security-group": _group,
    "subnet": _subnet,
    "volume": _volume,
    "vpc": _vpc,
}


def _zone(state: Any, name: str | None) -> Keys:
    if not name:
        return {}
    found = {"ec2:AvailabilityZone": name}
    for zone in state.describe_availability_zones(zone_names=[name]):
        found["ec2:AvailabilityZoneId"] = str(zone.zone_id)
    return found


def _arn(state: Any, kind: str, identifier: str | None, owner: str = ACCOUNT) -> str:
    return f"arn:aws:ec2:{state.region_name}:{owner}:{kind}/{identifier}"


def _said(value: Any) -> str:
    return str(value).lower()
