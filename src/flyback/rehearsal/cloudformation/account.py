"""What templates look up in the account: zones, SSM parameters, whether an id exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.resources.handler import code_of

__all__ = ["Account"]

_LOOKUPS: Final[dict[str, Callable[[Any, list[str]], Any]]] = {
    "AWS::EC2::AvailabilityZone::Name": lambda ec2, ids: ec2.describe_availability_zones(
        ZoneNames=ids
    ),
    "AWS::EC2::Image::Id": lambda ec2, ids: ec2.describe_images(ImageIds=ids),
    "AWS::EC2::KeyPair::KeyName": lambda ec2, ids: ec2.describe_key_pairs(KeyNames=ids),
    "AWS::EC2::SecurityGroup::Id": lambda ec2, ids: ec2.describe_security_groups(GroupIds=ids),
    "AWS::EC2::Subnet::Id": lambda ec2, ids: ec2.describe_subnets(SubnetIds=ids),
    "AWS::EC2::VPC::Id": lambda ec2, ids: ec2.describe_vpcs(VpcIds=ids),
}
_MISSING = ("NotFound", "Malformed", "InvalidParameterValue")


class Account:
    """One account in one region.

    Args:
        engine: For its clients.
        region: The region.
    """

    def __init__(self, engine: Engine, region: str) -> None:
        self._engine = engine
        self._region = region

    def zones(self, region: str) -> list[str]:
        """Availability Zones by name."""
        answer = self._engine.client("ec2", region).describe_availability_zones()
        return sorted(item["ZoneName"] for item in answer["AvailabilityZones"])

    def ssm(self, name: str) -> str:
        """An SSM parameter's value.

        Raises:
            AwsError: there is none.
        """
        try:
            answer = self._engine.client("ssm", self._region).get_parameter(Name=name)
        except ClientError as error:
            if code_of(error) not in {"ParameterNotFound", "ParameterVersionNotFound"}:
                raise
            raise invalid(
                f"Unable to fetch parameters [{name}] from parameter store for this account."
            ) from error
        return str(answer["Parameter"]["Value"])

    def exists(self, kind: str, value: str) -> bool:
        """Whether a value of an AWS-specific parameter type names something."""
        if not value:
            return False
        try:
            _LOOKUPS[kind](self._engine.client("ec2", self._region), [value])
        except ClientError as error:
            if any(part in code_of(error) for part in _MISSING):
                return False
            raise
        return True
