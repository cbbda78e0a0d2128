"""What templates look up in the account: zones, SSM parameters, ids, templates in S3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.call import AwsError
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
        """Availability Zones by name.

        Raises:
            AwsError: EC2 refuses to tell.
        """
        ec2 = self._engine.client("ec2", region)
        answer = _asked(ec2.describe_availability_zones)
        return sorted(item["ZoneName"] for item in answer["AvailabilityZones"])

    def ssm(self, name: str) -> str:
        """An SSM parameter's value.

        Raises:
            AwsError: there is none, or SSM refuses to tell.
        """
        ssm = self._engine.client("ssm", self._region)
        try:
            answer = _asked(ssm.get_parameter, Name=name)
        except AwsError as error:
            if error.code not in {"ParameterNotFound", "ParameterVersionNotFound"}:
                raise
            raise invalid(
                f"Unable to fetch parameters [{name}] from parameter store for this account."
            ) from error
        return str(answer["Parameter"]["Value"])

    def exists(self, kind: str, value: str) -> bool:
        """Whether a value of an AWS-specific parameter type names something.

        Raises:
            AwsError: EC2 refuses to tell.
        """
        if not value:
            return False
        ec2 = self._engine.client("ec2", self._region)
        try:
            _asked(_LOOKUPS[kind], ec2=ec2, ids=[value])
        except AwsError as error:
            if any(part in error.code for part in _MISSING):
                return False
            raise
        return True

    def stored_text(self, bucket: str, key: str) -> str:
        """An object's text, for templates that come by address.

        Raises:
            AwsError: S3 refuses it.
        """
        s3 = self._engine.client("s3", self._region)
        try:
            answer = _asked(s3.get_object, Bucket=bucket, Key=key)
        except AwsError as error:
            raise invalid(f"S3 error: {error.message}") from error
        return str(answer["Body"].read().decode())


def _asked(call: Callable[..., Any], **arguments: Any) -> Any:
    """A look-up's answer; what goes wrong is AWS's error, as it came."""
    try:
        return call(**arguments)
    except ClientError as error:
        found: Any = error.response
        status = found.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        message = str(found.get("Error", {}).get("Message", ""))
        raise AwsError(code_of(error), message, status) from error
    except BotoCoreError as error:
        raise AwsError("InternalFailure", str(error), 500) from error
