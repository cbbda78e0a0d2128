"""From a job to a plan: machines, deadline, quote and ceiling, all decided here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyback.errors import UserError
from flyback.plan.catalogue import Catalogue, load_catalogue
from flyback.plan.costs import MachineHours, cost_lines, hourly_usd, rate, total_usd
from flyback.plan.expectation import Expectation, expect, image_arch
from flyback.plan.select import select
from flyback.spec.job import JobSpec
from flyback.spec.plan import Candidate, Plan
from flyback.spec.receipt import CostLine, Usage

__all__ = ["DayCap", "Lease", "ceiling_of", "expected_usage", "lease_of", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class DayCap:
    """What all runs of a day may cost together, and what others of it may cost already, USD."""

    usd: float
    committed_usd: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Lease:
    """How long a run may last, and which limit says so."""

    hours: float
    reason: str


def make_plan(
    job: JobSpec,
    *,
    region: str,
    expected: Expectation | None = None,
    catalogue: Catalogue | None = None,
    day: DayCap | None = None,
) -> Plan:
    """Decide where a job runs, for how long at most, and what it should cost.

    Args:
        job: The resolved job.
        region: AWS region; of no matter to the local engine.
        expected: What the quote assumes; None takes `expect(job)`.
        catalogue: Machines and prices; None takes those that ship with flyback.
        day: What may be spent in a day, if anybody has said.

    Raises:
        UserError: no machine fits, a name is unknown, the region lacks the type, or `max_usd` does
            not even pay for the boot.
    """
    assumed = expected if expected is not None else expect(job)
    if job.engine == "local":
        return _local_plan(job, assumed)
    chosen = select(
        job.resources,
        job.spot,
        region=region,
        arch=image_arch(job.image),
        catalogue=catalogue if catalogue is not None else load_catalogue(),
    )
    deadline = _deadline(job, chosen.candidates, assumed, region, day)
    hours = min(assumed.hours, deadline.hours)
    best, dearest = chosen.candidates[0], _dearest(chosen.candidates)
    quote = _lines(job, best, chosen.market, hours, assumed, region)
    ceiling = _lines(job, dearest, "on-demand", deadline.hours, assumed, region)
    return Plan(
        job=job,
        job_digest=job.digest(),
        region=region,
        market=chosen.market,
        candidates=chosen.candidates,
        rejections=chosen.rejections,
        deadline_hours=deadline.hours,
        deadline_reason=deadline.reason,
        expected_hours=hours,
        quote=quote,
        quote_usd=total_usd(quote),
        ceiling_usd=total_usd(ceiling),
        root_gib=assumed.root_gib,
    )


def lease_of(plan: Plan, max_hours: float, day: DayCap | None = None) -> Lease:
    """The lease of a plan's job if it were allowed so many hours; what it may spend still binds.

    Raises:
        UserError: a cap does not even pay for the boot.
    """
    job = dataclasses.replace(plan.job, max_hours=max_hours)
    return _deadline(job, plan.candidates, _assumed(plan), plan.region, day)


def ceiling_of(plan: Plan, hours: float) -> float:
    """The most that a plan's run may cost if it lasts so many hours, USD."""
    job, dearest = plan.job, _dearest(plan.candidates)
    return total_usd(_lines(job, dearest, "on-demand", hours, _assumed(plan), plan.region))


def expected_usage(plan: Plan, expected: Expectation) -> Usage:
    """The usage that a plan's quote is made of."""
    best = plan.candidates[0] if plan.candidates else None
    return _usage(
        plan.job, best.instance_type if best else None, plan.market, plan.expected_hours, expected
    )


def _assumed(plan: Plan) -> Expectation:
    """What is expected of a plan's job now, on the image that it was made for."""
    return dataclasses.replace(expect(plan.job), root_gib=plan.root_gib)


def _local_plan(job: JobSpec, assumed: Expectation) -> Plan:
    hours = min(assumed.run_minutes / 60, job.max_hours)
    quote = cost_lines(_usage(job, None, "local", hours, assumed), (), region="", image=job.image)
    return Plan(
        job=job,
        job_digest=job.digest(),
        region="",
        market="local",
        candidates=(),
        rejections=(),
        deadline_hours=job.max_hours,
        deadline_reason=f"max_hours {job.max_hours:g} h",
        expected_hours=hours,
        quote=quote,
        quote_usd=total_usd(quote),
        ceiling_usd=0.0,
    )


def _deadline(
    job: JobSpec,
    candidates: Sequence[Candidate],
    assumed: Expectation,
    region: str,
    day: DayCap | None = None,
) -> Lease:
    """The earliest of `max_hours` and what the caps pay for on demand on the dearest candidate.

    A spot price can rise to the on-demand price, and any candidate may be granted, so nothing
    less keeps the promise.
    """
    by_hours = Lease(hours=job.max_hours, reason=f"max_hours {job.max_hours:g} h")
    limits = []
    if job.max_usd is not None:
        limits.append((job.max_usd, f"max_usd ${job.max_usd:g}", "max_usd"))
    if day is not None:
        left = max(day.usd - day.committed_usd, 0.0)
        what = f"max_usd_per_day ${day.usd:g} less ${day.committed_usd:.4g} of other runs today"
        limits.append((left, what, "max_usd_per_day"))
    if not limits:
        return by_hours
    usd, what, key = min(limits)
    dearest = _dearest(candidates)
    disk_gib = job.resources.bought_gib(assumed.root_gib)
    per_hour = hourly_usd(dearest, disk_gib=disk_gib, image_bytes=assumed.image_bytes)
    beside = total_usd(_lines(job, dearest, "on-demand", 0.0, assumed, region))
    seconds = math.floor(max(usd - beside, 0.0) / per_hour * 3600)
    if seconds < max(assumed.boot_minutes, 1) * 60:
        raise UserError(
            f"{what} pays for {seconds} s of {dearest.instance_type} on demand "
            f"(${per_hour:.4g}/h), and booting alone takes about {assumed.boot_minutes:g} min",
            where=key,
            remedy=f"raise {key}, or name cheaper types in resources.any_of",
        )
    by_usd = Lease(
        hours=seconds / 3600,
        reason=f"{what} at ${per_hour:.4g}/h, "
        f"{dearest.instance_type} on demand with disk and address",
    )
    return by_usd if by_usd.hours < by_hours.hours else by_hours


def _dearest(candidates: Sequence[Candidate]) -> Candidate:
    return max(candidates, key=lambda candidate: rate(candidate, "on-demand")[0])


def _lines(
    job: JobSpec,
    candidate: Candidate,
    market: str,
    hours: float,
    assumed: Expectation,
    region: str,
) -> tuple[CostLine, ...]:
    usd_hour, source = rate(candidate, market)
    machine = MachineHours(
        what=f"{candidate.instance_type} {market}", hours=hours, usd_hour=usd_hour, source=source
    )
    usage = _usage(job, candidate.instance_type, market, hours, assumed)
    return cost_lines(usage, (machine,), region=region, image=job.image)


def _usage(
    job: JobSpec, instance_type: str | None, market: str, hours: float, assumed: Expectation
) -> Usage:
    local = market == "local"
    return Usage(
        instance_type=instance_type,
        zone=None,
        market=market,
        hours=hours,
        boot_hours=min(assumed.boot_minutes / 60, hours),
        disk_gib=0 if local else job.resources.bought_gib(assumed.root_gib),
        stored_bytes=assumed.stored_bytes,
        log_bytes=0 if local else assumed.log_bytes,
        put_requests=0 if local else assumed.put_requests,
        get_requests=0 if local else assumed.get_requests,
        image_bytes=0 if local else assumed.image_bytes,
    )
