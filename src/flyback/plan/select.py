"""The machines that a job may run on, cheapest first, and why the others may not."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyback.errors import UserError
from flyback.plan.catalogue import Catalogue, Offer
from flyback.plan.fit import Miss, Need, misses, plain_name, usable_spot
from flyback.spec.job import Resources, SpotPolicy
from flyback.spec.plan import Candidate, Rejection

__all__ = ["Selection", "as_candidate", "select"]

_MOST_CANDIDATES = 8  # enough pools for a fleet to choose from
_MOST_TIMES_BEST = 1.5  # a dearer machine that nobody named would make the quote a lie
_NEAR = 5


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What may be asked for.

    Args:
        candidates: Best first, at least one.
        rejections: Types that the job names, or near ones, and why they lost.
        market: `spot` or `on-demand`.
    """

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    market: str


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A type of the region, and what it lacks."""

    offer: Offer
    misses: tuple[Miss, ...]
    usd_hour: float

    @property
    def distance(self) -> tuple[float, float]:
        return math.fsum(miss.distance for miss in self.misses), self.usd_hour

    @property
    def reason(self) -> str:
        return "; ".join(miss.reason for miss in self.misses)


def select(
    resources: Resources, spot: SpotPolicy, *, region: str, arch: str, catalogue: Catalogue
) -> Selection:
    """Apply every hard constraint and sort what is left by price.

    A type that `any_of` names may have more GPUs than asked for, a fraction of one, or a
    burstable CPU. Unnamed ones have exactly the GPUs that were asked for, and those that cost half
    as much again as the cheapest, on spot or on demand, are left out: the quote should hold
    whichever is granted.

    Raises:
        UserError: the region, a type or a GPU model is unknown, none of the named types is offered
            in the region, or no machine fits; the sentence names what comes nearest.
    """
    catalogue.check_region(region)
    _check_gpu(resources, catalogue)
    names = tuple(dict.fromkeys(resources.any_of))
    offers, absent = _pool(names, region, catalogue)
    need = Need(
        resources=resources,
        named=bool(names),
        arch=arch,
        spot_only=spot.attempts > 0 and spot.then == "stop",
    )
    judged = [_judge(offer, need, spot) for offer in offers]
    fitting = sorted((j for j in judged if not j.misses), key=lambda item: item.usd_hour)
    missing = sorted((j for j in judged if j.misses), key=lambda item: item.distance)
    if not fitting:
        raise _nothing_fits(missing, region)
    chosen, dear = (fitting, []) if names else _affordable(fitting)
    lost = missing if names else _nearest(missing, dear)
    return Selection(
        candidates=tuple(as_candidate(item.offer) for item in chosen),
        rejections=(*absent, *(_rejection(item) for item in lost)),
        market=_market(chosen, spot),
    )


def as_candidate(offer: Offer) -> Candidate:
    """An offer as a plan holds it."""
    kind = offer.type
    source = f"on-demand: {offer.on_demand_source}"
    if offer.spot_usd_hour is not None:
        source = f"spot: {offer.spot_source}; {source}"
    return Candidate(
        instance_type=kind.name,
        zones=offer.zones,
        spot_usd_hour=usable_spot(offer),
        on_demand_usd_hour=offer.on_demand_usd_hour,
        price_source=source,
        gpu=kind.gpu_model,
        gpu_count=kind.gpu_count,
        vcpus=kind.vcpus,
        memory_gib=kind.memory_gib,
        network_gbps=kind.network_gbps,
    )


def _check_gpu(resources: Resources, catalogue: Catalogue) -> None:
    model = resources.gpu
    if resources.count == 0 and (model is not None or resources.gpu_memory_gib is not None):
        raise UserError(
            "count is 0, but a GPU model or its memory is asked for",
            where="resources",
            remedy="leave out gpu and gpu_memory_gib, or ask for at least one GPU",
        )
    known = {plain_name(name): name for name in catalogue.gpu_models}
    if model is None or plain_name(model) in known:
        return
    words = set(model.casefold().split())
    near = [name for name in catalogue.gpu_models if words <= set(name.casefold().split())]
    near += [known[n] for n in difflib.get_close_matches(plain_name(model), known, cutoff=0.5)]
    guess = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"the catalogue has no GPU model {model!r}",
        where="resources.gpu",
        remedy=f"{guess}models: {', '.join(catalogue.gpu_models)}",
    )


def _pool(
    names: Sequence[str], region: str, catalogue: Catalogue
) -> tuple[list[Offer], list[Rejection]]:
    """Offers to judge, in the job's order, and named types that the region lacks."""
    if not names:
        return list(catalogue.offers(region)), []
    for name in names:
        catalogue.instance_type(name)
    found = {name: catalogue.offer(name, region) for name in names}
    offers = [offer for offer in found.values() if offer is not None and offer.zones]
    offered = {offer.type.name for offer in offers}
    absent = [name for name in names if name not in offered]
    if not offers:
        raise _not_offered(absent, region, catalogue)
    rejections = [
        Rejection(instance_type=name, reason=_whereabouts(name, region, catalogue))
        for name in absent
    ]
    return offers, rejections


def _not_offered(names: Sequence[str], region: str, catalogue: Catalogue) -> UserError:
    where_else = "; ".join(f"{name} {_whereabouts(name, region, catalogue)}" for name in names)
    near = [
        f"{offer.type.name} (${offer.usd_hour:.4g}/h)"
        for offer in catalogue.alternatives(names[0], region)
    ]
    return UserError(
        where_else,
        where="resources.any_of",
        remedy=f"nearest in {region}: {', '.join(near)}"
        if near
        else f"nothing in {region} can stand in for it; choose another region",
    )


def _whereabouts(name: str, region: str, catalogue: Catalogue) -> str:
    regions = catalogue.regions_with(name)
    if not regions:
        return f"is not offered in {region}, nor in any other region of the catalogue"
    return f"is not offered in {region}; it is in {', '.join(regions)}"


def _judge(offer: Offer, need: Need, spot: SpotPolicy) -> _Judged:
    price = usable_spot(offer) if spot.attempts > 0 else None
    if price is None:
        price = offer.on_demand_usd_hour
    return _Judged(
        offer=offer,
        misses=misses(offer, need),
        usd_hour=math.inf if price is None else price,
    )


def _affordable(fitting: Sequence[_Judged]) -> tuple[list[_Judged], list[_Judged]]:
    """Those at most half as dear again as the cheapest, on spot and on demand; and the others."""
    best = fitting[0]

    def is_close(item: _Judged) -> bool:
        return item.usd_hour <= _MOST_TIMES_BEST * best.usd_hour and _on_demand(
            item
        ) <= _MOST_TIMES_BEST * _on_demand(best)

    chosen = [item for item in fitting if is_close(item)][:_MOST_CANDIDATES]
    return chosen, [item for item in fitting if item not in chosen]


def _on_demand(item: _Judged) -> float:
    usd = item.offer.on_demand_usd_hour
    return math.inf if usd is None else usd


def _nearest(missing: Sequence[_Judged], dear: Sequence[_Judged]) -> list[_Judged]:
    """A few types that somebody may ask after: they fit but cost more, or almost fit."""
    costly = [
        _Judged(
            offer=item.offer,
            usd_hour=item.usd_hour,
            misses=(Miss(reason=f"fits, but costs ${item.usd_hour:.4g}/h", distance=0.0),),
        )
        for item in dear
    ]
    return [*costly[:2], *missing[: _NEAR - len(costly[:2])]]


def _market(chosen: Sequence[_Judged], spot: SpotPolicy) -> str:
    """Spot, unless the job wants none or every candidate's costs as much as on-demand."""
    has_spot = any(
        item.offer.spot_usd_hour is None or usable_spot(item.offer) is not None for item in chosen
    )
    return "spot" if spot.attempts > 0 and has_spot else "on-demand"


def _rejection(item: _Judged) -> Rejection:
    return Rejection(instance_type=item.offer.type.name, reason=item.reason)


def _nothing_fits(missing: Sequence[_Judged], region: str) -> UserError:
    nearest = " · ".join(f"{item.offer.type.name} {item.reason}" for item in missing[:2])
    return UserError(
        f"no machine in {region} has what the job asks for",
        where="resources",
        remedy=f"ask for something else, or name a type in any_of. Nearest: {nearest}",
    )
