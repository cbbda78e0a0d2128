"""The request for a machine, as data: built once, stored, replayed verbatim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flyback.aws.ec2 import Image, Subnet
from flyback.errors import CapacityError
from flyback.launch.deployment import Deployment
from flyback.spec.plan import Plan

__all__ = ["RUN_TAG", "Site", "Ticket", "fleet_request"]

RUN_TAG = "flyback:run-id"
_MOST_OVERRIDES = 300  # CreateFleet takes at most 300 launch specifications (EC2 user guide)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a machine may stand, and what it boots from."""

    deployment: Deployment
    subnets: tuple[Subnet, ...]
    image: Image


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a machine is told of its run, by its own tags."""

    run_id: str
    attempt: int
    token: str
    market: str
    deadline: int
    bundle_sha256: str

    def tags(self, deployment: Deployment) -> dict[str, str]:
        """The machine's tags; keys hold no slash, so that IMDS can serve them."""
        return {
            **deployment.tags,
            "Name": self.run_id,
            RUN_TAG: self.run_id,
            "flyback:deadline": str(self.deadline),
            "flyback:store": deployment.store_url,
            "flyback:bundle": self.bundle_sha256,
            "flyback:attempt": str(self.attempt),
        }


def fleet_request(plan: Plan, ticket: Ticket, site: Site) -> dict[str, Any]:
    """An EC2 Fleet request of type `instant` for one machine.

    Raises:
        CapacityError: none of the subnets lies in a zone that offers one of the types.
    """
    overrides = _overrides(plan, site)
    tags = [
        {"Key": key, "Value": text} for key, text in sorted(ticket.tags(site.deployment).items())
    ]
    market: dict[str, Any] = {
        "SpotOptions": {
            "AllocationStrategy": "price-capacity-optimized",
            "InstanceInterruptionBehavior": "terminate",
        }
    }
    if ticket.market == "on-demand":
        market = {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}}
    return {
        "Type": "instant",
        "ClientToken": ticket.token,
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": ticket.market,
        },
        **market,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": site.deployment.launch_template,
                    "Version": site.deployment.launch_template_version,
                },
                "Overrides": overrides,
            }
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags}
            for kind in ("fleet", "instance", "volume")  # the template tags interfaces
        ],
    }


def _overrides(plan: Plan, site: Site) -> list[dict[str, Any]]:
    # the root device must carry the AMI's own name, else a second volume appears
    disk = {
        "DeviceName": site.image.root_device,
        "Ebs": {
            "VolumeSize": plan.job.resources.bought_gib(site.image.root_gib),
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        },
    }
    found: list[dict[str, Any]] = [
        {
            "InstanceType": candidate.instance_type,
            "SubnetId": subnet.subnet_id,
            "ImageId": site.image.image_id,
            "BlockDeviceMappings": [disk],
        }
        for candidate in plan.candidates
        for subnet in _one_per_zone(site.subnets)
        if subnet.zone in candidate.zones
    ]
    if not found:
        zones = ", ".join(sorted({subnet.zone for subnet in site.subnets}))
        types = ", ".join(candidate.instance_type for candidate in plan.candidates)
        raise CapacityError(
            f"no subnet of the deployment ({zones}) lies in a zone that offers {types}",
            where=f"region {plan.region}",
            remedy="name other types in resources.any_of, or deploy with more subnets",
        )
    return found[:_MOST_OVERRIDES]


def _one_per_zone(subnets: Sequence[Subnet]) -> tuple[Subnet, ...]:
    """The subnet with the most addresses left in each zone.

    EC2 refuses two subnets of one zone: "duplicate instance pools" (InvalidFleetConfig).
    """
    best: dict[str, Subnet] = {}
    for subnet in subnets:
        known = best.get(subnet.zone)
        if known is None or subnet.free_addresses > known.free_addresses:
            best[subnet.zone] = subnet
    return tuple(best.values())
