"""Quantity times unit price, item by item: quote and receipt are made by the same lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyback.plan.prices import GB, HOURS_PER_MONTH, PRICED_REGION, price
from flyback.spec.plan import Candidate
from flyback.spec.receipt import CostLine, Usage

__all__ = ["MachineHours", "billed_hours", "cost_lines", "hourly_usd", "rate", "total_usd"]

_MINIMUM_S = 60  # EC2 user guide: billed per second, one minute at least, at every start
_MICRO_S = 6  # digits after which a second is the rounding of a float
_NO_BILL = "the user's own machine: nothing is billed"


@dataclass(frozen=True, kw_only=True)
class MachineHours:
    """One machine as it is billed.

    Args:
        what: Type and market, for the reader.
        hours: From launch to its end.
        usd_hour: Price of an hour.
        source: Source and date of that price, or why the hour is free.
    """

    what: str
    hours: float
    usd_hour: float
    source: str


def billed_hours(hours: float) -> float:
    """Hours that EC2 bills for a machine: whole seconds, 60 of them at least; 0 for 0."""
    if hours <= 0:
        return 0.0
    return max(_MINIMUM_S, math.ceil(round(hours * 3600, _MICRO_S))) / 3600


def rate(candidate: Candidate, market: str) -> tuple[float, str]:
    """Price of an hour in a market, with its source.

    Where no spot price is worth having or known, the on-demand price stands in: spot can rise
    that far and no further.
    """
    spot, on_demand = candidate.spot_usd_hour, candidate.on_demand_usd_hour
    if market == "spot" and spot is not None:
        return spot, candidate.price_source
    if on_demand is None:
        raise ValueError(f"{candidate.instance_type}: no on-demand price is known")
    if market == "spot":
        return on_demand, f"on-demand price as upper bound of spot; {candidate.price_source}"
    return on_demand, candidate.price_source


def hourly_usd(candidate: Candidate, *, disk_gib: int, image_bytes: int) -> float:
    """All that an hour costs on demand: machine, disk, address, share of the image. USD."""
    machine, _ = rate(candidate, "on-demand")
    per_month = disk_gib * price("ebs", "gp3_storage").usd
    per_month += image_bytes / GB * price("ecr", "private_storage").usd
    address = price("vpc", "public_ipv4_in_use_or_idle").usd
    return machine + address + per_month / HOURS_PER_MONTH


def cost_lines(
    usage: Usage, machines: Sequence[MachineHours], *, region: str, image: str | None
) -> tuple[CostLine, ...]:
    """Every item of a run, in one fixed order; what costs nothing says why.

    Args:
        usage: Everything that is not priced by the machine's type.
        machines: Each machine that was started, in order.
        region: AWS region.
        image: The job's container image.
    """
    hours = math.fsum(billed_hours(machine.hours) for machine in machines)
    beside = _beside(usage, hours / HOURS_PER_MONTH, region, image)
    if usage.market == "local":
        compute = _cost("compute", max(usage.hours, 0.0), "h local", 0.0, _NO_BILL)
        return (compute, *(_cost(line.item, 0.0, line.unit, 0.0, _NO_BILL) for line in beside))
    return (*_compute(machines), *beside)


def total_usd(lines: Sequence[CostLine]) -> float:
    """Sum of the lines, exact to the last bit that a float has."""
    return math.fsum(line.usd for line in lines)


def _compute(machines: Sequence[MachineHours]) -> list[CostLine]:
    if not machines:
        return [_cost("compute", 0.0, "h", 0.0, "no machine was started")]
    return [
        _cost(
            "compute" if number == 1 else f"compute, attempt {number}",
            billed_hours(machine.hours),
            f"h {machine.what}",
            machine.usd_hour,
            machine.source,
        )
        for number, machine in enumerate(machines, start=1)
    ]


def _beside(usage: Usage, months: float, region: str, image: str | None) -> tuple[CostLine, ...]:
    """Everything but the machines; `months` is how long they ran."""
    address = ("vpc", "public_ipv4_in_use_or_idle")
    writes = ("s3", "standard_put_copy_post_list")
    stored, logged = usage.stored_bytes / GB, usage.log_bytes / GB
    put, get = usage.put_requests / 1000, usage.get_requests / 1000
    disk = usage.disk_gib * months
    return (
        _line("EBS gp3 disk", disk, "GB-month", ("ebs", "gp3_storage"), region),
        _line("public IPv4", months * HOURS_PER_MONTH, "h", address, region)
        if usage.public_address
        else _cost("public IPv4", 0.0, "h", 0.0, "the machine had no public address"),
        _line("S3, kept a month", stored, "GB-month", ("s3", "standard_storage"), region),
        _line("S3 writes, lists", put, "1000 requests", writes, region),
        _line("S3 reads", get, "1000 requests", ("s3", "standard_get"), region),
        _line("CloudWatch Logs", logged, "GB", ("cloudwatch", "logs_ingest"), region),
        _image_line(usage.image_bytes, months, region, image),
    )


def _image_line(image_bytes: int, months: float, region: str, image: str | None) -> CostLine:
    """Share of the image's storage that falls on the hours of the run."""
    item, unit = "ECR image, share", "GB-month"
    if image is None:
        return _cost(item, 0.0, unit, 0.0, "the job has no container image")
    if image_bytes == 0:
        return _cost(item, 0.0, unit, 0.0, "no image in a registry of this account")
    line = _line(item, image_bytes / GB * months, unit, ("ecr", "private_storage"), region)
    whole = image_bytes / GB * line.unit_usd
    note = f"{line.source}; kept all month it costs ${whole:.2f}, whatever runs"
    return _cost(item, line.quantity, unit, line.unit_usd, note)


def _line(item: str, quantity: float, unit: str, name: tuple[str, str], region: str) -> CostLine:
    known = price(*name)
    source = known.source if known.date in known.source else f"{known.source}, {known.date}"
    if region != PRICED_REGION:
        source = f"{PRICED_REGION} price taken for {region}: {source}"
    return _cost(item, quantity, unit, known.usd, source)


def _cost(item: str, quantity: float, unit: str, unit_usd: float, source: str) -> CostLine:
    return CostLine(
        item=item,
        quantity=quantity,
        unit=unit,
        unit_usd=unit_usd,
        usd=quantity * unit_usd,
        source=source,
    )
