"""What is to be had, where, and for how much, at any moment: the answers that a launch asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

from flyback.plan.catalogue import Offer, load_catalogue
from flyback.rehearsal.ec2.market import Capacity
from flyback.rehearsal.market.conditions import Conditions
from flyback.rehearsal.market.drift import drift, level, step_at, step_start
from flyback.rehearsal.market.quotas import Quotas

__all__ = ["HOUR_S", "SpotMarket", "region_of"]

HOUR_S = 3600.0
_PRICE_STEP_S = 4 * HOUR_S  # a spot price changes about so often
_STOCK_STEP_S = 900.0  # a pool fills up or runs dry about so often
_DECIMALS = 4  # as EC2 gives spot prices
_LEAST_USD = 0.0001
_NORMAL = NormalDist()

# Share of time that a spot pool has no machine, by the Spot Instance Advisor's bucket of
# interruptions: pools that are taken back often are empty often. Chosen, not measured.
_EMPTY = {"<5%": 0.02, "5-10%": 0.05, "10-15%": 0.10, "15-20%": 0.15, ">20%": 0.25}
_EMPTY_UNKNOWN = 0.10
_EMPTY_ON_DEMAND_GPU = 0.05
_EMPTY_ON_DEMAND = 0.005


class SpotMarket:
    """A market in which everything follows from the seed and the moment.

    Args:
        now: Simulated seconds since the epoch.
        seed: Decides all of it.
        capacity: What is refused on top of it, by name.
        quotas: What the account may run.
        conditions: How the market behaves.

    Attributes:
        catalogue: Typical prices and interruptions, as they ship with flyback.
    """

    def __init__(
        self,
        now: Callable[[], float],
        seed: int,
        *,
        capacity: Capacity,
        quotas: Quotas,
        conditions: Conditions,
    ) -> None:
        self._now = now
        self._seed = seed
        self._capacity = capacity
        self._quotas = quotas
        self._conditions = conditions
        self.catalogue = load_catalogue()

    def offer(self, instance_type: str, zone: str, market: str) -> str | None:
        refused = self._capacity.offer(instance_type, zone, market)
        if refused is not None:
            return refused
        stocked = self.in_stock(instance_type, zone, market, self._now())
        return None if stocked else "InsufficientInstanceCapacity"

    def allowance(self, instance_type: str, region: str, market: str, count: int) -> str | None:
        return self._quotas.refuses(instance_type, region, market, count)

    def price(self, instance_type: str, zone: str, market: str) -> float | None:
        if market == "spot":
            return self.spot_usd_hour(instance_type, zone, self._now())
        offer = self.catalogue.offer(instance_type, region_of(zone))
        return None if offer is None else offer.on_demand_usd_hour

    def depth(self, instance_type: str, zone: str, market: str) -> float:
        if self._capacity.refuses(instance_type, zone, market):
            # EC2 does not foresee its own refusals, so neither does its ordering
            return 1.0
        return self._stock(instance_type, zone, market, self._now())

    def scarcity(self, instance_type: str, zone: str, market: str) -> float:
        """Share of time that a pool has no machine."""
        return min(1.0, self._conditions.scarcity * self._empty(instance_type, zone, market))

    def in_stock(self, instance_type: str, zone: str, market: str, at: float) -> bool:
        """Whether a pool has a machine at a moment, whatever was refused by name."""
        return self._stock(instance_type, zone, market, at) > 0

    def spot_usd_hour(self, instance_type: str, zone: str, at: float) -> float | None:
        """Spot price at a moment; None where the catalogue knows no typical one."""
        offer = self._offered(instance_type, zone)
        if offer is None:
            return None
        return self._priced(offer, zone, step_at(at, _PRICE_STEP_S, self._seed, _name(offer, zone)))

    def changes(
        self, instance_type: str, zone: str, start: float, end: float
    ) -> Iterator[tuple[float, float]]:
        """When a spot price changed, and to what, newest first; the last one began before `start`.

        Args:
            instance_type: The type.
            zone: Availability zone.
            start: Seconds since the epoch.
            end: The same.
        """
        offer = self._offered(instance_type, zone)
        if offer is None or end < start:
            return
        name = _name(offer, zone)
        number = step_at(end, _PRICE_STEP_S, self._seed, name)
        while True:
            began = step_start(number, _PRICE_STEP_S, self._seed, name)
            yield began, self._priced(offer, zone, number)
            if began <= start:
                return
            number -= 1

    def _stock(self, instance_type: str, zone: str, market: str, at: float) -> float:
        empty = self.scarcity(instance_type, zone, market)
        if empty <= 0 or empty >= 1:
            return float(empty <= 0)
        name = f"stock/{instance_type}/{zone}/{market}"
        number = step_at(at, _STOCK_STEP_S, self._seed, name)
        rank = _NORMAL.cdf(drift(number, self._seed, name))
        return max(0.0, (rank - empty) / (1 - empty))

    def _offered(self, instance_type: str, zone: str) -> Offer | None:
        offer = self.catalogue.offer(instance_type, region_of(zone))
        if offer is None or zone not in offer.zones or offer.spot_usd_hour is None:
            return None
        return offer

    def _priced(self, offer: Offer, zone: str, number: int) -> float:
        """Typical price x the zone's level x the drift, never above on-demand (EC2 user guide)."""
        assert offer.spot_usd_hour is not None, "asked of priced offers"  # noqa: S101  # ours
        volatility, spread = self._conditions.volatility, self._conditions.spread
        name = _name(offer, zone)
        exponent = -(volatility**2 + spread**2) / 2  # so that the mean is the typical price
        if spread:
            exponent += spread * level(self._seed, name, "zone")
        if volatility:
            exponent += volatility * drift(number, self._seed, name)
        usd = max(round(offer.spot_usd_hour * math.exp(exponent), _DECIMALS), _LEAST_USD)
        most = offer.on_demand_usd_hour
        return usd if most is None else min(usd, most)

    def _empty(self, instance_type: str, zone: str, market: str) -> float:
        offer = self.catalogue.offer(instance_type, region_of(zone))
        if market == "spot":
            bucket = None if offer is None else offer.interruptions
            return _EMPTY.get(bucket or "", _EMPTY_UNKNOWN)
        has_gpu = offer is not None and offer.type.gpu_model is not None
        return _EMPTY_ON_DEMAND_GPU if has_gpu else _EMPTY_ON_DEMAND


def region_of(zone: str) -> str:
    """The region of an availability zone: its name without the last letter."""
    return zone.rstrip("abcdefghijklmnopqrstuvwxyz")


def _name(offer: Offer, zone: str) -> str:
    return f"price/{offer.type.name}/{zone}"
