"""Interruptions: EC2 takes a spot machine back, two minutes after it said so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from flyback.plan.catalogue import Catalogue
from flyback.rehearsal.market.conditions import Conditions
from flyback.rehearsal.market.drift import share
from flyback.rehearsal.market.offers import HOUR_S

__all__ = ["NOTICE_S", "Reclaims", "hazard_per_hour"]

NOTICE_S = 120.0
"""EC2 user guide: a notice comes two minutes before (best effort; here always)."""

_HOURS_PER_MONTH = 730
# Middle of the Spot Instance Advisor's bucket: share of machines taken back in a month.
_TAKEN = {"<5%": 0.025, "5-10%": 0.075, "10-15%": 0.125, "15-20%": 0.175, ">20%": 0.30}
_TAKEN_UNKNOWN = 0.125


class Schedule(Protocol):
    """What an interruption needs of the rehearsal's clock."""

    def now(self) -> float:
        """Simulated seconds since the epoch."""
        ...

    def call_at(self, when: float, action: Callable[[], object]) -> Any:
        """Run an action at a simulated time."""
        ...


class Ends(Protocol):
    """What an interruption does to a machine."""

    def warn(self, instance_id: str, action: str, at: float) -> None:
        """Say that it will be taken away."""
        ...

    def reclaim(self, instance_id: str) -> None:
        """End it as EC2 does."""
        ...


class Reclaims:
    """Decides for each spot machine, when it is launched, when it would be taken back.

    The time until then is exponentially distributed: a machine is as likely to go in its tenth
    hour as in its first. The rate comes from the catalogue's interruption bucket.

    Args:
        schedule: The rehearsal's clock.
        machines: Ends them.
        seed: Decides when.
        conditions: Factor on the rate.
        catalogue: Interruption buckets.
    """

    def __init__(
        self,
        schedule: Schedule,
        machines: Ends,
        seed: int,
        conditions: Conditions,
        catalogue: Catalogue,
    ) -> None:
        self._schedule = schedule
        self._machines = machines
        self._seed = seed
        self._factor = conditions.interruptions
        self._catalogue = catalogue
        self._count = 0

    def watch(self, instance: Any) -> None:
        """Schedule the end of a spot machine that has just been launched.

        Args:
            instance: moto's instance.
        """
        if getattr(instance, "lifecycle", None) != "spot":
            return
        self._count += 1
        rate = self._factor * hazard_per_hour(
            self._catalogue, instance.instance_type, instance.region_name
        )
        if rate <= 0:
            return
        hours = -math.log(share(self._seed, "interruption", self._count)) / rate
        self.take(instance, self._schedule.now() + max(hours * HOUR_S, NOTICE_S))

    def take(self, instance: Any, at: float, acted: Callable[[], object] = lambda: None) -> None:
        """Take a machine back at a simulated time, with notice before.

        Args:
            instance: moto's instance.
            at: Seconds since the epoch.
            acted: Called when it is told, and when it is taken.
        """

        def is_there() -> bool:
            return instance.state in ("pending", "running")

        def warn() -> None:
            if is_there():
                acted()
                self._machines.warn(instance.id, "terminate", at)

        def end() -> None:
            if is_there():
                acted()
                self._machines.reclaim(instance.id)

        self._schedule.call_at(at - NOTICE_S, warn)
        self._schedule.call_at(at, end)


def hazard_per_hour(catalogue: Catalogue, instance_type: str, region: str) -> float:
    """Rate at which a spot machine of a type is taken back, per hour.

    The share `s` that is taken back in a month gives the rate `-ln(1 - s) / 730`.
    """
    offer = catalogue.offer(instance_type, region)
    bucket = None if offer is None else offer.interruptions
    taken = _TAKEN.get(bucket or "", _TAKEN_UNKNOWN)
    return -math.log1p(-taken) / _HOURS_PER_MONTH
