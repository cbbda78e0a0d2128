"""What a launch may be: image, instance type and place, checked as AWS checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.ec2.images import parameter_value
from flyback.rehearsal.ec2.market import Market, refusal

__all__ = ["Place", "image_of", "place_of", "type_of"]

_SSM = "resolve:ssm:"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a machine goes.

    Args:
        subnet: moto's subnet.
        zone: Its availability zone.
    """

    subnet: Any
    zone: str


def image_of(state: Any, params: Mapping[str, Any]) -> Any:
    """The image of a launch, `resolve:ssm:` resolved.

    Raises:
        AwsError: none is named, or there is none of that id.
    """
    image_id = str(params.get("ImageId") or "")
    if image_id.startswith(_SSM):
        name = image_id.removeprefix(_SSM)
        found = parameter_value(name, state.region_name)
        if found is None:
            raise AwsError(
                "InvalidParameterValue",
                f"The parameter {name} does not name an image of this rehearsal",
            )
        image_id = found
    if not image_id:
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    if not image_id.startswith("ami-"):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    image = state.amis.get(image_id)
    if image is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return image


def type_of(params: Mapping[str, Any], image: Any) -> str:
    """The instance type of a launch.

    Raises:
        AwsError: there is no such type, or it has another architecture than the image.
    """
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    name = str(params.get("InstanceType") or "m1.small")
    described = INSTANCE_TYPES.get(name)
    if described is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    architectures = described["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise AwsError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does "
            f"not match the architecture '{image.architecture}' of the specified AMI. Specify an "
            "instance type and an AMI that have matching architectures, and try again.",
        )
    return name


def place_of(
    state: Any, params: Mapping[str, Any], instance_type: str, market: str, offers: Market
) -> Place:
    """Where a launch goes: the subnet that it names, or a default one that has a machine.

    Raises:
        AwsError: no such subnet, the type is not offered there, or there is no capacity.
    """
    last = AwsError(
        "VPCIdNotSpecified",
        "No default VPC for this user. GroupName is only supported for EC2-Classic and default "
        "VPC.",
    )
    for place in _candidates(state, params):
        try:
            _check_offered(state.region_name, instance_type, place.zone)
            code = offers.offer(instance_type, place.zone, market)
            if code is not None:
                raise refusal(code, instance_type, place.zone)
        except AwsError as error:
            last = error
        else:
            return place
    raise last


def _candidates(state: Any, params: Mapping[str, Any]) -> list[Place]:
    interfaces = params.get("NetworkInterfaces") or [{}]
    subnet_id = params.get("SubnetId") or interfaces[0].get("SubnetId")
    zone = (params.get("Placement") or {}).get("AvailabilityZone")
    if subnet_id:
        for subnets in state.subnets.values():
            if subnet_id in subnets:
                subnet = subnets[subnet_id]
                return [Place(subnet=subnet, zone=str(subnet.availability_zone))]
        raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    defaults = sorted(state.get_default_subnets().items())
    if zone and zone not in dict(defaults):
        raise AwsError("InvalidInput", f"No default subnet for availability zone: '{zone}'.")
    return [Place(subnet=subnet, zone=name) for name, subnet in defaults if zone in (None, name)]


def _check_offered(region: str, instance_type: str, zone: str) -> None:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offered = sorted(
        offer["Location"]
        for offer in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
        if offer["InstanceType"] == instance_type
    )
    if zone in offered:
        return
    if not offered:
        raise AwsError(
            "Unsupported",
            "The requested configuration is currently not supported. Please check the "
            "documentation for supported configurations.",
        )
    raise AwsError(
        "Unsupported",
        f"Your requested instance type ({instance_type}) is not supported in your requested "
        f"Availability Zone ({zone}). Please retry your request by not specifying an "
        f"Availability Zone or choosing {', '.join(offered)}.",
    )
