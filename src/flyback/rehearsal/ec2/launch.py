"""One resolved launch, put into moto's state so that EC2 describes it as AWS would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.ec2.devices import attach, devices_of
from flyback.rehearsal.ec2.machines import enter
from flyback.rehearsal.ec2.market import Market, refusal
from flyback.rehearsal.ec2.placement import Place, image_of, place_of, type_of
from flyback.rehearsal.ec2.spot import fulfilled_request
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["Order", "launch"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """A launch with nothing left to look up.

    Args:
        params: Shaped like RunInstances' input, the template expanded.
        market: `spot` or `on-demand`.
        count: Machines.
        tags: For the instances, besides those of `params`.
        token: Client token.
    """

    params: Mapping[str, Any]
    market: str
    count: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    token: str = ""


def launch(region: str, order: Order, offers: Market) -> Any:
    """Make pending machines with their volumes, interfaces, profile and spot requests.

    Returns:
        moto's reservation.

    Raises:
        AwsError: AWS would not launch it.
    """
    with LOCK:
        state = backend("ec2", region)
        image = image_of(state, order.params)
        instance_type = type_of(order.params, image)
        devices = devices_of(image, order.params)
        profile = _profile(order.params.get("IamInstanceProfile") or {})
        exceeded = offers.allowance(instance_type, region, order.market, order.count)
        if exceeded is not None:
            raise refusal(exceeded, instance_type, region)
        place = place_of(state, order.params, instance_type, order.market, offers)
        tags = _tags(order.params)
        groups = _groups(state, order.params, place)
        reservation = state.run_instances(
            image.id,
            order.count,
            _user_data(order.params),
            [],
            tags={"instance": {**tags.get("instance", {}), **order.tags}},
            security_group_ids=groups,
            nics=_interfaces(order.params, place),
            client_token=order.token or None,
            **_options(region, instance_type, place, order),
        )
        for instance in reservation.instances:
            _finish(state, instance, order, tags)
            attach(state, instance, devices, tags.get("volume", {}))
            if profile is not None:
                instance.iam_instance_profile = {"Arn": profile.arn, "Id": profile.id}
        return reservation


def _options(region: str, instance_type: str, place: Place, order: Order) -> dict[str, Any]:
    params = order.params
    monitoring = (params.get("Monitoring") or {}).get("Enabled")
    return {
        "region_name": region,
        "instance_type": instance_type,
        "is_instance_type_default": False,
        "placement": place.zone,
        "key_name": params.get("KeyName"),
        "ebs_optimized": bool(params.get("EbsOptimized")),
        "disable_api_stop": bool(params.get("DisableApiStop")),
        "disable_api_termination": bool(params.get("DisableApiTermination")),
        "monitoring_state": "enabled" if monitoring else "disabled",
        "instance_initiated_shutdown_behavior": params.get("InstanceInitiatedShutdownBehavior"),
        "metadata_options": params.get("MetadataOptions") or {},
        "block_device_mappings": [],  # or moto invents a volume
        "lifecycle": "spot" if order.market == "spot" else None,
    }


def _finish(state: Any, instance: Any, order: Order, tags: Mapping[str, Mapping[str, str]]) -> None:
    enter(instance, "pending")
    for interface in instance.nics.values():
        interface.add_tags(dict(tags.get("network-interface", {})))
    if order.market == "spot":
        request = fulfilled_request(state, instance, order.params)
        request.add_tags(dict(tags.get("spot-instances-request", {})))
        state.spot_instance_requests[request.id] = request
        instance.spot_instance_request_id = request.id


def _tags(params: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        item["ResourceType"]: {tag["Key"]: tag.get("Value", "") for tag in item.get("Tags", ())}
        for item in params.get("TagSpecifications", ())
    }


def _user_data(params: Mapping[str, Any]) -> Any:
    from moto.core.types import Base64EncodedString

    text = params.get("UserData")
    if not text:
        return None
    try:
        return Base64EncodedString(str(text))
    except ValueError as error:
        raise AwsError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from error


def _profile(asked: Mapping[str, Any]) -> Any:
    name = asked.get("Name") or str(asked.get("Arn") or "").rpartition("/")[2]
    if not name:
        return None
    for profile in backend("iam", "global").instance_profiles.values():
        if profile.name == name and asked.get("Arn") in (None, profile.arn):
            return profile
    field_name, value = ("name", name) if asked.get("Name") else ("arn", asked["Arn"])
    raise AwsError(
        "InvalidParameterValue",
        f"Value ({value}) for parameter iamInstanceProfile.{field_name} is invalid. "
        f"Invalid IAM Instance Profile {field_name}",
    )


def _groups(state: Any, params: Mapping[str, Any], place: Place) -> list[str]:
    interfaces = params.get("NetworkInterfaces") or [{}]
    wanted = list(params.get("SecurityGroupIds") or interfaces[0].get("Groups") or ())
    if not wanted:
        default = state.get_default_security_group(place.subnet.vpc_id)
        return [default.id] if default else []
    for group_id in wanted:
        group = state.get_security_group_from_id(group_id)
        if group is None:
            raise AwsError(
                "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
            )
        if group.vpc_id != place.subnet.vpc_id:
            raise AwsError(
                "InvalidParameter",
                f"Security group {group_id} and subnet {place.subnet.id} belong to different "
                "networks.",
            )
    return wanted


def _interfaces(params: Mapping[str, Any], place: Place) -> list[dict[str, Any]]:
    """The primary interface; it goes with its instance unless the request keeps it."""
    asked = dict((params.get("NetworkInterfaces") or [{}])[0])
    public = asked.get("AssociatePublicIpAddress")
    if public is None:
        public = str(place.subnet.map_public_ip_on_launch).lower() == "true"
    primary = {
        "DeviceIndex": 0,
        "SubnetId": place.subnet.id,
        "AssociatePublicIpAddress": bool(public),
        "DeleteOnTermination": bool(asked.get("DeleteOnTermination", True)),
        "Description": asked.get("Description", ""),
    }
    address = asked.get("PrivateIpAddress") or params.get("PrivateIpAddress")
    return [{**primary, "PrivateIpAddress": address} if address else primary]
