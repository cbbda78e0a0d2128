"""EC2 instance types and what they cost in each region, from tables that ship with flyback.

Where each figure comes from stands in its row; `data/README.md` says how to read the sources.
"""

from __future__ import annotations

import csv
import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from flyback.errors import UserError

__all__ = ["MIB_PER_GIB", "Catalogue", "InstanceType", "Offer", "load_catalogue", "table"]

MIB_PER_GIB = 1024
_BURSTABLE = ("t2", "t3", "t3a", "t4g")  # families whose CPU speed depends on credits


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """A machine as EC2 describes it.

    Args:
        memory_gib: Host memory, GiB.
        arch: `x86_64` or `arm64`.
        gpu_model: As EC2 names it; None without a GPU.
        gpu_count: Logical GPUs; a fraction of one counts 1 (EC2's own `Count` says 0 there).
        gpu_fraction: Share of a physical GPU, at most 1; 0 without a GPU.
        gpu_memory_mib: Memory of each GPU, MiB, as usable and not as marketed.
        network_gbps: Sustained bandwidth, Gbit/s; None where no figure is known.
        source: Where the description comes from.
    """

    name: str
    family: str
    vcpus: int
    memory_gib: float
    arch: str
    gpu_model: str | None
    gpu_count: int
    gpu_fraction: float
    gpu_memory_mib: int
    compute_capability: str | None
    network: str
    network_gbps: float | None
    local_nvme_gb: int
    source: str

    @property
    def gpu_memory_gib(self) -> float:
        """Memory of each GPU, GiB."""
        return self.gpu_memory_mib / MIB_PER_GIB

    @property
    def burstable(self) -> bool:
        """Whether its CPU slows down once its credits are spent."""
        return self.family in _BURSTABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One instance type in one region.

    Args:
        zones: Names of the availability zones that offer it; empty where none does.
        on_demand_usd_hour: None where no price is known.
        spot_usd_hour: Typical spot price over zones and time; None where none is known.
        on_demand_source: Source of the price, with its date.
        spot_source: As above.
        interruptions: Share of machines that EC2 reclaimed in a month, as the Spot Instance
            Advisor of June 2025 puts it (`<5%` … `>20%`); None where it says nothing.
    """

    type: InstanceType
    region: str
    zones: tuple[str, ...]
    on_demand_usd_hour: float | None
    on_demand_source: str
    spot_usd_hour: float | None
    spot_source: str
    interruptions: str | None

    @property
    def usd_hour(self) -> float | None:
        """The least that an hour is known to cost."""
        known = [usd for usd in (self.spot_usd_hour, self.on_demand_usd_hour) if usd is not None]
        return min(known, default=None)


class Catalogue:
    """All instance types that flyback knows, and where they are offered.

    Args:
        offers: At most one for each type and region.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._offers = {(offer.type.name, offer.region): offer for offer in offers}
        self._types = {offer.type.name: offer.type for offer in self._offers.values()}
        self.regions = tuple(sorted({region for _, region in self._offers}))
        self.gpu_models = tuple(
            sorted({kind.gpu_model for kind in self._types.values() if kind.gpu_model})
        )

    @property
    def types(self) -> Mapping[str, InstanceType]:
        """Every type by name."""
        return self._types

    def instance_type(self, name: str) -> InstanceType:
        """The type of that name.

        Raises:
            UserError: the catalogue has no such type.
        """
        if name in self._types:
            return self._types[name]
        near = difflib.get_close_matches(name.lower(), self._types, n=3, cutoff=0.6)
        raise UserError(
            f"the catalogue has no instance type {name!r}",
            where="resources.any_of",
            remedy=f"did you mean {' or '.join(near)}?"
            if near
            else "say what the machine needs (gpu, count, vcpus, memory_gib) and leave any_of out",
        )

    def check_region(self, region: str) -> None:
        """Accept a region that there are prices for.

        Raises:
            UserError: there are none.
        """
        if region not in self.regions:
            near = difflib.get_close_matches(region, self.regions, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"no prices are known for region {region!r}",
                where="region",
                remedy=f"{guess}regions with prices: {', '.join(self.regions)}",
            )

    def offer(self, name: str, region: str) -> Offer | None:
        """A type's row for a region, offered or not; None where there is none."""
        return self._offers.get((name, region))

    def offers(self, region: str) -> Iterator[Offer]:
        """Every type that a region offers."""
        return (o for (_, at), o in self._offers.items() if at == region and o.zones)

    def regions_with(self, name: str) -> tuple[str, ...]:
        """Regions that offer a type."""
        return tuple(r for r in self.regions if (o := self.offer(name, r)) is not None and o.zones)

    def alternatives(self, name: str, region: str, count: int = 3) -> tuple[Offer, ...]:
        """Other types of a region that can stand in for one, cheapest first.

        They have as many GPUs of at least the same memory or, for types without a GPU, at least
        as many virtual CPUs and as much memory; the same architecture; a known price.
        """
        wanted = self.instance_type(name)
        found = [
            (offer.usd_hour, offer.type.name, offer)
            for offer in self.offers(region)
            if offer.usd_hour is not None and _can_replace(offer.type, wanted)
        ]
        return tuple(offer for _, _, offer in sorted(found, key=lambda item: item[:2])[:count])


@functools.cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with flyback."""
    types = {row["instance_type"]: _instance_type(row) for row in table("instance_types.csv")}
    return Catalogue(_offer(row, types[row["instance_type"]]) for row in table("offers.csv"))


def table(name: str) -> list[dict[str, str]]:
    """The rows of a shipped CSV file."""
    text = (resources.files("flyback.plan") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _can_replace(kind: InstanceType, wanted: InstanceType) -> bool:
    if kind.name == wanted.name or kind.arch != wanted.arch:
        return False
    if wanted.gpu_model is None:
        return (
            kind.gpu_model is None
            and kind.burstable <= wanted.burstable
            and kind.vcpus >= wanted.vcpus
            and kind.memory_gib >= wanted.memory_gib
        )
    return kind.gpu_count >= wanted.gpu_count and kind.gpu_memory_mib >= wanted.gpu_memory_mib


def _instance_type(row: Mapping[str, str]) -> InstanceType:
    return InstanceType(
        name=row["instance_type"],
        family=row["family"],
        vcpus=int(row["vcpu"]),
        memory_gib=float(row["memory_gib"]),
        arch=row["arch"],
        gpu_model=row["gpu_model"] or None,
        gpu_count=int(row["gpu_count"]),
        gpu_fraction=float(row["gpu_fraction"] or 0),
        gpu_memory_mib=int(row["gpu_memory_mib_each"]),
        compute_capability=row["compute_capability"] or None,
        network=row["network"],
        network_gbps=_number(row["network_baseline_gbps"]),
        local_nvme_gb=int(row["local_nvme_gb"]),
        source=row["source"],
    )


def _offer(row: Mapping[str, str], kind: InstanceType) -> Offer:
    region = row["region"]
    suffixes = row["az_suffixes_offered"] if row["offered"] == "yes" else ""
    return Offer(
        type=kind,
        region=region,
        zones=tuple(f"{region}{suffix}" for suffix in suffixes),
        on_demand_usd_hour=_number(row["on_demand_usd_h"]),
        on_demand_source=_dated(row["on_demand_source"], row["on_demand_date"]),
        spot_usd_hour=_number(row["typical_spot_usd_h"]),
        spot_source=_dated(row["spot_source"], row["spot_date"]),
        interruptions=row["advisor_interruption_month_2025_06"] or None,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _dated(source: str, date: str) -> str:
    return source if date in source else f"{source}, {date}"
