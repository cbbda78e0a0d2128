"""What questions to IAM depend on, besides the call: what the account holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Facts", "NoFacts"]


class Facts(Protocol):
    """What the account holds, as far as questions to IAM depend on it."""

    def canonical(self, arn: str) -> str:
        """An ARN with the path that its role, user or profile really has."""
        ...

    def tags(self, arn: str) -> Mapping[str, str]:
        """Tags of a resource; empty where it has none or is not there."""
        ...

    def attributes(self, arn: str) -> Mapping[str, str]:
        """Condition keys that follow from what a resource is, of EC2's and IAM's; maybe none."""
        ...

    def image(self, image: str) -> str:
        """Id of an image, given by id or as `resolve:ssm:…`; empty where unknown."""
        ...

    def default_subnets(self, zone: str) -> tuple[str, ...]:
        """Ids of the default subnets that EC2 may take, in one zone or (empty) in any."""
        ...

    def default_group(self, subnet: str) -> str:
        """Id of the default security group beside a subnet; empty where unknown."""
        ...

    def launch_template(self, wanted: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Id and data of the launch template that a LaunchTemplateSpecification names."""
        ...

    def profile_role(self, profile: Mapping[str, Any]) -> str:
        """ARN of the role in an instance profile given by Arn or Name; empty where unknown."""
        ...


class NoFacts:
    """An account of which nothing is known."""

    def canonical(self, arn: str) -> str:
        return arn

    def tags(self, arn: str) -> Mapping[str, str]:
        del arn
        return {}

    def attributes(self, arn: str) -> Mapping[str, str]:
        del arn
        return {}

    def image(self, image: str) -> str:
        return "" if image.startswith("resolve:") else image

    def default_subnets(self, zone: str) -> tuple[str, ...]:
        del zone
        return ()

    def default_group(self, subnet: str) -> str:
        del subnet
        return ""

    def launch_template(self, wanted: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return str(wanted.get("LaunchTemplateId", "*")), {}

    def profile_role(self, profile: Mapping[str, Any]) -> str:
        del profile
        return ""
