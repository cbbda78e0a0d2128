"""Whether one machine meets what a job needs; where it does not, why, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from flyback.plan.catalogue import InstanceType, Offer
from flyback.spec.job import Resources

__all__ = ["Miss", "Need", "misses", "plain_name", "usable_spot"]

NO_SPOT_SHARE = 0.95
"""A spot price of so much of the on-demand price counts as no spot: the zone has none to spare."""

_GB_PER_GIB = 2**30 / 1e9
_OTHER_MODEL = 4.0  # farther than eight GPUs are from one
_UNASKED = 2.0
_HOPELESS = 8.0  # the wrong kind of machine altogether


@dataclass(frozen=True, kw_only=True)
class Miss:
    """One need that a machine does not meet.

    Args:
        reason: A clause that can follow the type's name.
        distance: Doublings that are missing, for sorting by nearness.
    """

    reason: str
    distance: float


@dataclass(frozen=True, kw_only=True)
class Need:
    """What is asked of one machine.

    Args:
        named: Whether the job names this type; then it may have more than was asked for.
        arch: `x86_64` or `arm64`.
        spot_only: Whether on-demand is no way out.
    """

    resources: Resources
    named: bool
    arch: str
    spot_only: bool


def misses(offer: Offer, need: Need) -> tuple[Miss, ...]:
    """Every need that a machine does not meet; empty where it fits."""
    return tuple(miss for check in _CHECKS if (miss := check(offer, need)) is not None)


def usable_spot(offer: Offer) -> float | None:
    """The spot price where one is known and worth having."""
    return None if offer.spot_usd_hour is None or _is_no_spot(offer) else offer.spot_usd_hour


def plain_name(model: str) -> str:
    """A GPU model as people write it: case, spaces, hyphens and the maker's name don't matter."""
    return model.casefold().removeprefix("nvidia").replace(" ", "").replace("-", "")


def _arch(offer: Offer, need: Need) -> Miss | None:
    if offer.type.arch == need.arch:
        return None
    return Miss(reason=f"is {offer.type.arch}, {need.arch} is needed", distance=_HOPELESS)


def _gpu(offer: Offer, need: Need) -> Miss | None:
    """Presence and count."""
    kind, asked = offer.type, need.resources.count
    if kind.gpu_count == asked or (need.named and kind.gpu_count > asked):
        return None
    if asked == 0:
        return Miss(reason=f"has {_gpus(kind)}, none is asked for", distance=_UNASKED)
    if kind.gpu_model is None:
        return Miss(
            reason=f"has no GPU, {asked} asked for (count: 0 asks for none)", distance=_HOPELESS
        )
    return Miss(
        reason=f"has {_gpus(kind)}, {asked} asked for",
        distance=abs(math.log2(kind.gpu_count / asked)),
    )


def _gpu_model(offer: Offer, need: Need) -> Miss | None:
    model, wanted = offer.type.gpu_model, need.resources.gpu
    if model is None or wanted is None or plain_name(model) == plain_name(wanted):
        return None
    return Miss(reason=f"has {model}, {wanted} asked for", distance=_OTHER_MODEL)


def _gpu_memory(offer: Offer, need: Need) -> Miss | None:
    kind, wanted = offer.type, need.resources.gpu_memory_gib
    if kind.gpu_model is None or wanted is None or kind.gpu_memory_gib >= wanted:
        return None
    have = f"{kind.gpu_memory_gib:.1f} GiB ({kind.gpu_memory_gib * _GB_PER_GIB:.0f} GB)"
    return Miss(
        reason=f"has {have} of GPU memory each, {wanted:g} GiB asked for",
        distance=math.log2(wanted / kind.gpu_memory_gib),
    )


def _fraction(offer: Offer, need: Need) -> Miss | None:
    """A part of a GPU measures something else than a GPU, so it must be asked for by name."""
    kind = offer.type
    if need.named or not 0 < kind.gpu_fraction < 1:
        return None
    part = f"1/{round(1 / kind.gpu_fraction)}"
    return Miss(reason=f"has {part} of a GPU: only where any_of names it", distance=1.0)


def _vcpus(offer: Offer, need: Need) -> Miss | None:
    return _size(offer.type.vcpus, need.resources.vcpus, "vCPUs")


def _memory(offer: Offer, need: Need) -> Miss | None:
    return _size(offer.type.memory_gib, need.resources.memory_gib, "GiB of memory")


def _size(have: float, wanted: float | None, what: str) -> Miss | None:
    if wanted is None or have >= wanted:
        return None
    return Miss(
        reason=f"has {have:g} {what}, {wanted:g} asked for", distance=math.log2(wanted / have)
    )


def _burstable(offer: Offer, need: Need) -> Miss | None:
    if need.named or not offer.type.burstable:
        return None
    return Miss(
        reason="is burstable, so no two measurements agree: only where any_of names it",
        distance=1.0,
    )


def _price(offer: Offer, need: Need) -> Miss | None:
    del need
    if offer.on_demand_usd_hour is not None:
        return None
    return Miss(reason="has no known on-demand price here, so no ceiling", distance=0.5)


def _spot(offer: Offer, need: Need) -> Miss | None:
    if not need.spot_only or not _is_no_spot(offer):
        return None
    return Miss(
        reason="has no spot worth the name here (it costs as much as on-demand), "
        "and spot.then is stop",
        distance=0.5,
    )


def _is_no_spot(offer: Offer) -> bool:
    spot, on_demand = offer.spot_usd_hour, offer.on_demand_usd_hour
    return spot is not None and on_demand is not None and spot >= NO_SPOT_SHARE * on_demand


def _gpus(kind: InstanceType) -> str:
    return f"{kind.gpu_count} {kind.gpu_model}" if kind.gpu_model else "no GPU"


_CHECKS: tuple[Callable[[Offer, Need], Miss | None], ...] = (
    _arch,
    _gpu,
    _gpu_model,
    _gpu_memory,
    _fraction,
    _vcpus,
    _memory,
    _burstable,
    _price,
    _spot,
)
