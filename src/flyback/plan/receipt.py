"""From what a run used to what it cost, by the prices that the quote was made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flyback.plan.catalogue import load_catalogue
from flyback.plan.costs import MachineHours, cost_lines, rate, total_usd
from flyback.plan.select import as_candidate
from flyback.spec.plan import Candidate, Plan
from flyback.spec.receipt import Receipt, Usage

__all__ = ["MachineUse", "make_receipt"]

_FREE_HOURS = 1.0


@dataclass(frozen=True, kw_only=True)
class MachineUse:
    """One machine that a run had.

    Args:
        instance_type: As granted.
        market: `spot` or `on-demand`.
        hours: From launch to its end.
        interrupted_by_ec2: Whether EC2 took it away. In the first hour of a spot machine that is
            free, and only then: a machine that ended itself is paid for (EC2 user guide, billing
            for interrupted Spot Instances). Disk and address are paid for all the same.
        spot_usd_hour: Spot price of its zone, where it was asked for; None takes the plan's.
    """

    instance_type: str
    market: str
    hours: float
    interrupted_by_ec2: bool = False
    spot_usd_hour: float | None = None


def make_receipt(
    *,
    run_id: str,
    plan: Plan,
    usage: Usage,
    rehearsed: bool,
    machines: Sequence[MachineUse] = (),
) -> Receipt:
    """Account for a run, item by item in the order of its quote.

    Args:
        run_id: The run.
        plan: What it was launched by; its prices are used.
        usage: What it used in all.
        rehearsed: Whether the cloud was an emulated one; the figures are as if it were not.
        machines: Every machine in order, where there was more than one, one was taken away by EC2,
            or its spot price is known; empty takes the one machine that `usage` tells of.

    Raises:
        ValueError: a machine's type is neither among the plan's candidates nor priced in the
            catalogue.
    """
    used = machines or _machines(usage)
    lines = cost_lines(
        usage,
        [_hours(plan, machine) for machine in used],
        region=plan.region,
        image=plan.job.image,
    )
    return Receipt(
        run_id=run_id,
        currency="USD",
        region=plan.region,
        usage=usage,
        lines=lines,
        total_usd=total_usd(lines),
        quote=plan.quote,
        quote_usd=plan.quote_usd,
        rehearsed=rehearsed,
    )


def _machines(usage: Usage) -> tuple[MachineUse, ...]:
    if usage.instance_type is None:
        return ()
    return (MachineUse(instance_type=usage.instance_type, market=usage.market, hours=usage.hours),)


def _hours(plan: Plan, machine: MachineUse) -> MachineHours:
    usd_hour, source = rate(_priced(plan, machine.instance_type), machine.market)
    if machine.market == "spot" and machine.spot_usd_hour is not None:
        usd_hour, source = machine.spot_usd_hour, "EC2's spot price of the zone during the run"
    if _is_free(machine):
        usd_hour, source = 0.0, "taken away by EC2 in its first hour: not billed"
    return MachineHours(
        what=f"{machine.instance_type} {machine.market}",
        hours=machine.hours,
        usd_hour=usd_hour,
        source=source,
    )


def _is_free(machine: MachineUse) -> bool:
    return machine.interrupted_by_ec2 and machine.market == "spot" and machine.hours < _FREE_HOURS


def _priced(plan: Plan, instance_type: str) -> Candidate:
    """The candidate that was granted; the catalogue's where the plan has no such candidate."""
    for candidate in plan.candidates:
        if candidate.instance_type == instance_type:
            return candidate
    offer = load_catalogue().offer(instance_type, plan.region)
    if offer is None or offer.on_demand_usd_hour is None:
        raise ValueError(f"{instance_type} in {plan.region}: no price is known")
    return as_candidate(offer)
