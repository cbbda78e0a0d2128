"""EC2 Fleet of type `instant`: several pools in one request, failures told beside the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.ec2.launch import Order, launch
from flyback.rehearsal.ec2.market import Capacity, Market
from flyback.rehearsal.ec2.placement import image_of, place_of, type_of
from flyback.rehearsal.ec2.templates import resolve, with_override
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["Fleet", "fill"]

_BY_DEPTH = "price-capacity-optimized"
_BY_PRICE = (_BY_DEPTH, "lowest-price", "lowestPrice")
# Below this a pool counts as short of machines. AWS does not say where it draws that line.
_DEEP = 0.25


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What a fleet request made.

    Args:
        fleet_id: As AWS numbers fleets.
        market: `spot` or `on-demand`.
        machines: moto's instances, in order of launch.
        answer: Shaped like CreateFleet's output.
        request: Its parameters.
        created: moto's time of creation.
    """

    fleet_id: str
    market: str
    machines: tuple[Any, ...]
    answer: Mapping[str, Any]
    request: Mapping[str, Any]
    created: Any


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """One launch template with one override.

    Args:
        params: Shaped like RunInstances' input.
        described: The pool as the answer names it.
        template: Id and version number.
        max_price: USD per hour, or None.
        priority: Lower is better; of on-demand and prioritized fleets.
    """

    params: Mapping[str, Any]
    described: Mapping[str, Any]
    template: tuple[str, int]
    max_price: float | None
    priority: float


def fill(region: str, request: Mapping[str, Any], fleet_id: str, offers: Market) -> Fleet:
    """Launch what an instant fleet asks for.

    Pools are tried in order (by price where the strategy asks for it and prices are known, well
    stocked pools before others where it asks for capacity too, by priority for prioritized ones,
    else as given); each that fails is told in `Errors`.

    Raises:
        AwsError: the request itself is wrong, or names no existing template.
    """
    market = _market(request)
    with LOCK:
        pools = list(_pools(backend("ec2", region), request))
    ordered = _ordered(region, pools, request, market, offers)
    machines: list[Any] = []
    groups: dict[int, dict[str, Any]] = {}
    errors: dict[int, dict[str, Any]] = {}
    for _ in range(int(request["TargetCapacitySpecification"]["TotalTargetCapacity"])):
        for number, pool in enumerate(ordered):
            if number in errors:
                continue
            try:
                made = _launch(region, pool, market, fleet_id, offers)
            except AwsError as error:
                errors[number] = _error(pool, market, error)
                continue
            machines.append(made)
            group = groups.setdefault(number, _group(pool, market, made))
            group["InstanceIds"].append(made.id)
            break
    answer = {
        "FleetId": fleet_id,
        "Instances": list(groups.values()),
        "Errors": list(errors.values()),
    }
    from moto.core.utils import utcnow

    return Fleet(
        fleet_id=fleet_id,
        market=market,
        machines=tuple(machines),
        answer=answer,
        request=request,
        created=utcnow(),
    )


def _market(request: Mapping[str, Any]) -> str:
    target = request.get("TargetCapacitySpecification") or {}
    if "TotalTargetCapacity" not in target:
        raise AwsError(
            "MissingParameter",
            "The request must contain the parameter TotalTargetCapacity",
        )
    if int(target.get("SpotTargetCapacity", 0)):
        return "spot"
    return str(target.get("DefaultTargetCapacityType") or "on-demand")


def _pools(state: Any, request: Mapping[str, Any]) -> Iterator[_Pool]:
    tags = request.get("TagSpecifications", ())
    launch_tags = [item for item in tags if item["ResourceType"] != "fleet"]
    spot = request.get("SpotOptions") or {}
    for config in request.get("LaunchTemplateConfigs", ()):
        spec = config["LaunchTemplateSpecification"]
        template_id, version, data = resolve(state, spec)
        named = {"LaunchTemplateId": template_id, "Version": str(version)}
        for override in config.get("Overrides") or [{}]:
            if "InstanceRequirements" in override:
                raise AwsError(
                    "NotEmulated", "InstanceRequirements of a fleet is not emulated", 501
                )
            params = with_override(data, {**override, "TagSpecifications": launch_tags})
            price = override.get("MaxPrice") or spot.get("MaxTotalPrice")
            yield _Pool(
                params=params,
                described={"LaunchTemplateSpecification": named, "Overrides": _shown(override)},
                template=(template_id, version),
                max_price=float(price) if price else None,
                priority=float(override.get("Priority", "inf")),
            )


def _shown(override: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("InstanceType", "SubnetId", "AvailabilityZone", "MaxPrice", "Priority", "ImageId")
    return {key: override[key] for key in kept if key in override}


def _ordered(
    region: str,
    pools: list[_Pool],
    request: Mapping[str, Any],
    market: str,
    offers: Market,
) -> list[_Pool]:
    options = request.get("SpotOptions" if market == "spot" else "OnDemandOptions") or {}
    strategy = str(options.get("AllocationStrategy") or "lowest-price")
    if "prioritized" in strategy:
        return sorted(pools, key=lambda pool: pool.priority)
    if strategy not in _BY_PRICE:
        return pools
    ranked = [(_rank(region, market, offers, pool), pool) for pool in pools]
    if strategy != _BY_DEPTH:
        ranked = [((True, usd), pool) for (_, usd), pool in ranked]
    return [pool for _, pool in sorted(ranked, key=lambda item: item[0])]


def _rank(region: str, market: str, offers: Market, pool: _Pool) -> tuple[bool, float]:
    """For sorting: whether a pool is short, and its price; unknown prices last, as given."""
    try:
        with LOCK:
            state = backend("ec2", region)
            instance_type = type_of(pool.params, image_of(state, pool.params))
            place = place_of(state, pool.params, instance_type, market, _Anything())
    except AwsError:
        return False, float("-inf")  # a mistake in a pool is told before any machine is sought
    price = offers.price(instance_type, place.zone, market)
    short = offers.depth(instance_type, place.zone, market) < _DEEP
    return short, float("inf") if price is None else price


class _Anything(Capacity):
    """A market that only sorts: it has everything."""


class _Capped:
    """A market as somebody sees it who pays no more than a limit.

    Args:
        offers: The market.
        limit: USD per hour; None: any price.
    """

    def __init__(self, offers: Market, limit: float | None) -> None:
        self._offers = offers
        self._limit = limit

    def offer(self, instance_type: str, zone: str, market: str) -> str | None:
        price = self.price(instance_type, zone, market)
        if market == "spot" and self._limit is not None and (price or 0) > self._limit:
            return "SpotMaxPriceTooLow"
        return self._offers.offer(instance_type, zone, market)

    def allowance(self, instance_type: str, region: str, market: str, count: int) -> str | None:
        return self._offers.allowance(instance_type, region, market, count)

    def price(self, instance_type: str, zone: str, market: str) -> float | None:
        return self._offers.price(instance_type, zone, market)

    def depth(self, instance_type: str, zone: str, market: str) -> float:
        return self._offers.depth(instance_type, zone, market)


def _launch(region: str, pool: _Pool, market: str, fleet_id: str, offers: Market) -> Any:
    template_id, version = pool.template
    order = Order(
        params=pool.params,
        market=market,
        tags={
            "aws:ec2launchtemplate:id": template_id,
            "aws:ec2launchtemplate:version": str(version),
            "aws:ec2:fleet-id": fleet_id,
        },
    )
    return launch(region, order, _Capped(offers, pool.max_price)).instances[0]


def _group(pool: _Pool, market: str, machine: Any) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": {
            **pool.described,
            "Overrides": {
                **pool.described["Overrides"],
                "InstanceType": machine.instance_type,
                "AvailabilityZone": machine.availability_zone,
            },
        },
        "Lifecycle": market,
        "InstanceIds": [],
        "InstanceType": machine.instance_type,
    }


def _error(pool: _Pool, market: str, error: AwsError) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": pool.described,
        "Lifecycle": market,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }
