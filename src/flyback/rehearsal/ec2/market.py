"""Which machines are to be had just now, and for how much.

`Market` is what a launch asks. `Capacity` is the plainest one: everything is there unless a test
or a user said otherwise, and nothing has a price.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol

from flyback.rehearsal.call import AwsError

__all__ = ["Capacity", "Market", "refusal"]

# AWS's sentences. Without capacity AWS answers 500, so botocore retries it.
_SENTENCES = {
    "InsufficientInstanceCapacity": (
        (
            "We currently do not have sufficient {type} capacity in the Availability Zone you "
            "requested ({zone}). Our system will be working on provisioning additional capacity."
        ),
        500,
    ),
    "UnfulfillableCapacity": (
        (
            "Unable to fulfill capacity due to your request configuration. "
            "Please adjust your request and try again."
        ),
        400,
    ),
    "MaxSpotInstanceCountExceeded": ("Max spot instance count exceeded", 400),
    "VcpuLimitExceeded": (
        (
            "You have requested more vCPU capacity than your current vCPU limit allows for the "
            "instance bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
        ),
        400,
    ),
    "InsufficientFreeAddressesInSubnet": (
        (
            "There are not enough free addresses in the subnet to satisfy the requested number of "
            "instances."
        ),
        400,
    ),
    "SpotMaxPriceTooLow": (
        (
            "Your Spot request price is lower than the minimum required Spot request fulfillment "
            "price for {type} in {zone}."
        ),
        400,
    ),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (
        (
            "The provided credentials do not have permission to create the service-linked role for "
            "EC2 Spot Instances."
        ),
        403,
    ),
}


class Market(Protocol):
    """What a launch asks before it is made."""

    def offer(self, instance_type: str, zone: str, market: str) -> str | None:
        """Whether a machine is to be had.

        Args:
            instance_type: For instance `g4dn.xlarge`.
            zone: Availability zone.
            market: `spot` or `on-demand`.

        Returns:
            None where it is, else AWS's error code.
        """
        ...

    def allowance(self, instance_type: str, region: str, market: str, count: int) -> str | None:
        """Whether the account may run so many more machines of a type.

        Returns:
            None where it may, else AWS's error code.
        """
        ...

    def price(self, instance_type: str, zone: str, market: str) -> float | None:
        """USD per hour just now; None where nobody knows."""
        ...

    def depth(self, instance_type: str, zone: str, market: str) -> float:
        """How well a pool is stocked just now, from 0 (empty) to 1."""
        ...


class Capacity:
    """Everything is to be had, except what was refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str, str], str] = {}
        self._acted: Counter[tuple[str, str, str]] = Counter()

    def refuse(
        self,
        instance_type: str = "*",
        zone: str = "*",
        market: str = "*",
        code: str = "InsufficientInstanceCapacity",
    ) -> None:
        """Refuse a pool from now on; `*` stands for every one."""
        with self._lock:
            self._refused[instance_type, zone, market] = code

    def restore(self, instance_type: str = "*", zone: str = "*", market: str = "*") -> None:
        """Take a refusal back; does nothing where there is none."""
        with self._lock:
            self._refused.pop((instance_type, zone, market), None)

    def acted(self, instance_type: str = "*", zone: str = "*", market: str = "*") -> int:
        """How often somebody who wanted a machine met this refusal."""
        with self._lock:
            return self._acted[instance_type, zone, market]

    def offer(self, instance_type: str, zone: str, market: str) -> str | None:
        met = self._met(instance_type, zone, market)
        with self._lock:
            self._acted.update(met.keys())
        return next(iter(met.values()), None)

    def refuses(self, instance_type: str, zone: str, market: str) -> bool:
        """Whether a pool is refused, asked by somebody who does not want a machine of it now."""
        return bool(self._met(instance_type, zone, market))

    def _met(self, *asked: str) -> dict[tuple[str, str, str], str]:
        """The refusals that concern a pool, oldest first."""
        with self._lock:
            return {
                pool: code
                for pool, code in self._refused.items()
                if all(part in ("*", want) for part, want in zip(pool, asked, strict=True))
            }

    def price(self, instance_type: str, zone: str, market: str) -> float | None:
        del instance_type, zone, market  # no price list: the first override is as good as any
        return None

    def allowance(self, instance_type: str, region: str, market: str, count: int) -> str | None:
        del instance_type, region, market, count  # no quotas
        return None

    def depth(self, instance_type: str, zone: str, market: str) -> float:
        del instance_type, zone, market  # EC2 does not foresee what is refused by name
        return 1.0


def refusal(code: str, instance_type: str, zone: str) -> AwsError:
    """AWS's error for a code that `offer` gave."""
    sentence, status = _SENTENCES.get(code, ("The request was refused: {type} in {zone}", 400))
    return AwsError(code, sentence.format(type=instance_type, zone=zone), status)
