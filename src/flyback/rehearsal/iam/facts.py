"""What questions to IAM depend on, from moto's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.ec2.placement import image_of
from flyback.rehearsal.ec2.templates import resolve
from flyback.rehearsal.iam.attributes import boundary_of, ec2_attributes, subnet_of
from flyback.rehearsal.iam.tags import TaggedBy, secret_of, tags_of
from flyback.rehearsal.moto_state import ACCOUNT, backend

__all__ = ["AccountFacts"]

_NAMED_BY_PATH = {"role": "roles", "instance-profile": "instance_profiles"}


class AccountFacts:
    """The emulated account, read as it is now.

    Args:
        region: Where the call goes.
        tagged: Where services keep tags that moto does not.
    """

    def __init__(self, region: str, tagged: TaggedBy) -> None:
        self._region = region
        self._tagged = tagged

    def canonical(self, arn: str) -> str:
        fields = arn.split(":", 5)
        if len(fields) < 6:  # noqa: PLR2004  # fields of an ARN
            return arn
        if fields[2] == "secretsmanager":
            secret = secret_of(arn)
            return str(secret.arn) if secret is not None else arn
        if fields[2] != "iam":
            return arn
        kind, _, name = fields[5].partition("/")
        holders = getattr(backend("iam", "global"), _NAMED_BY_PATH.get(kind, ""), {})
        for holder in holders.values():
            if holder.name == name:
                return str(holder.arn)
        return arn

    def tags(self, arn: str) -> Mapping[str, str]:
        return tags_of(arn, self._tagged)

    def attributes(self, arn: str) -> Mapping[str, str]:
        if arn.startswith("arn:aws:ec2:"):
            return ec2_attributes(arn)
        return boundary_of(arn) if arn.startswith("arn:aws:iam:") else {}

    def image(self, image: str) -> str:
        if not image.startswith("resolve:"):
            return image
        try:
            return str(image_of(backend("ec2", self._region), {"ImageId": image}).id)
        except AwsError:  # EC2 will say so
            return ""

    def default_subnets(self, zone: str) -> tuple[str, ...]:
        found = sorted(backend("ec2", self._region).get_default_subnets().items())
        return tuple(str(subnet.id) for name, subnet in found if zone in ("", name))

    def default_group(self, subnet: str) -> str:
        state = backend("ec2", self._region)
        found = subnet_of(state, subnet)
        group = found and state.get_default_security_group(found.vpc_id)
        return str(group.id) if group else ""

    def launch_template(self, wanted: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        try:
            name, _, data = resolve(backend("ec2", self._region), wanted)
        except AwsError:  # EC2 will say so
            return str(wanted.get("LaunchTemplateId", "*")), {}
        return name, data

    def profile_role(self, profile: Mapping[str, Any]) -> str:
        wanted = str(profile.get("Arn") or profile.get("Name"))
        for held in backend("iam", "global").instance_profiles.values():
            if wanted in (held.arn, held.name) and held.roles:
                return str(held.roles[0].arn)
        return f"arn:aws:iam::{ACCOUNT}:role/unknown"
