"""Rules that hold for every job, not only for the examples."""

from __future__ import annotations

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from flyback.errors import UserError
from flyback.plan.catalogue import load_catalogue
from flyback.plan.costs import billed_hours
from flyback.plan.expectation import Expectation
from flyback.plan.planner import expected_usage, make_plan
from flyback.plan.receipt import make_receipt
from flyback.spec.job import JobSpec, Resources, SpotPolicy
from flyback.spec.plan import Plan
from flyback.spec.receipt import Usage

CATALOGUE = load_catalogue()
PRICED = sorted(
    offer.type.name
    for offer in CATALOGUE.offers("us-east-1")
    if offer.on_demand_usd_hour is not None and offer.type.arch == "x86_64"
)
amounts = st.integers(0, 10**13)
hours = st.floats(0, 10_000)
expectations = st.builds(
    Expectation,
    run_minutes=st.floats(0, 10_000),
    boot_minutes=st.floats(0, 10),
    stored_bytes=st.integers(0, 10**10),
    log_bytes=st.integers(0, 10**8),
    put_requests=st.integers(0, 10**4),
    get_requests=st.integers(0, 10**4),
    image_bytes=st.just(0),
)
jobs = st.builds(
    JobSpec,
    name=st.just("j"),
    workload=st.just("spectral"),
    resources=st.builds(
        Resources,
        any_of=st.lists(st.sampled_from(PRICED), min_size=1, max_size=3).map(tuple),
        count=st.just(0),
        disk_gib=st.integers(1, 16_384),
    ),
    max_hours=st.floats(0.01, 1000),
    max_usd=st.none() | st.floats(0.01, 10_000),
    spot=st.builds(
        SpotPolicy, attempts=st.integers(0, 3), then=st.sampled_from(["stop", "on-demand"])
    ),
    engine=st.sampled_from(["ec2", "local"]),
)


def plan_or_refusal(
    job: JobSpec, region: str, expected: Expectation | None = None
) -> Plan | UserError:
    """Nothing else may come of it."""
    try:
        return make_plan(job, region=region, expected=expected)
    except UserError as error:
        return error


def planned(job: JobSpec, expected: Expectation) -> Plan | None:
    """A plan, or None where a sentence refuses it."""
    found = plan_or_refusal(job, "us-east-1", expected)
    if isinstance(found, Plan):
        return found
    assert found.where == "max_usd"
    assert found.remedy
    return None


@given(jobs, expectations)
def test_limits_hold_in_every_plan(job: JobSpec, expected: Expectation) -> None:
    """The deadline keeps both limits, the quote is under the ceiling, no figure is negative."""
    plan = planned(job, expected)
    if plan is None:
        return
    assert 0 < plan.deadline_hours <= job.max_hours
    assert plan.expected_hours <= plan.deadline_hours
    assert all(line.usd >= 0 and line.quantity >= 0 for line in plan.quote)
    assert math.isclose(plan.quote_usd, sum(line.usd for line in plan.quote), abs_tol=1e-12)
    if plan.market == "local":
        assert plan.quote_usd == plan.ceiling_usd == 0
        return
    assert plan.quote_usd <= plan.ceiling_usd + 1e-12
    if job.max_usd is not None and plan.deadline_hours < job.max_hours:
        assert plan.ceiling_usd <= job.max_usd + 1e-9


@given(jobs, expectations)
def test_a_run_as_expected_costs_as_quoted(job: JobSpec, expected: Expectation) -> None:
    """Line by line: quantity, price and source."""
    plan = planned(job, expected)
    if plan is None:
        return
    receipt = make_receipt(
        run_id="j-1", plan=plan, usage=expected_usage(plan, expected), rehearsed=True
    )
    assert receipt.lines == plan.quote
    assert receipt.total_usd == plan.quote_usd == receipt.quote_usd


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a run may have used on a T4."""
    return Usage(
        instance_type="g4dn.xlarge",
        zone=None,
        market=draw(st.sampled_from(["spot", "on-demand"])),
        hours=draw(hours),
        boot_hours=0.0,
        disk_gib=draw(st.integers(0, 16_384)),
        stored_bytes=draw(amounts),
        log_bytes=draw(amounts),
        put_requests=draw(amounts),
        get_requests=draw(amounts),
        image_bytes=draw(amounts),
    )


PLAN = make_plan(
    JobSpec(
        name="j",
        workload="spectral",
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/j@sha256:0",
        resources=Resources(any_of=("g4dn.xlarge",)),
    ),
    region="us-east-1",
)


@given(usages(), st.floats(0, 100), st.sampled_from(["stored_bytes", "log_bytes", "image_bytes"]))
def test_more_use_never_costs_less(usage: Usage, longer: float, grown: str) -> None:
    """Monotone in the hours and in every amount, and the total is the sum of its lines."""

    def total(used: Usage) -> float:
        made = make_receipt(run_id="j-1", plan=PLAN, usage=used, rehearsed=False)
        assert all(line.usd >= 0 for line in made.lines)
        parts = sum(line.usd for line in made.lines)
        assert math.isclose(made.total_usd, parts, rel_tol=1e-12, abs_tol=1e-12)
        return made.total_usd

    before = total(usage)
    more = dataclasses.replace(
        usage, hours=usage.hours + longer, **{grown: getattr(usage, grown) * 2}
    )
    assert total(more) >= before


@given(hours)
def test_billing_rounds_up_by_less_than_a_second(used: float) -> None:
    """Never less than was used, a minute at least."""
    billed = billed_hours(used)
    assert billed >= used - 1e-9
    assert billed <= max(used + 1.001 / 3600, 60 / 3600)


def test_every_type_in_every_region_is_planned_or_refused_with_a_sentence() -> None:
    """The whole catalogue, x86 and ARM: no other error, no plan without a price."""
    planned_types = 0
    for name, kind in CATALOGUE.types.items():
        job = JobSpec(
            name="j",
            workload="spectral",
            image=f"x/y:{kind.arch}@sha256:0",
            resources=Resources(any_of=(name,), count=0),
        )
        for region in CATALOGUE.regions:
            plan = plan_or_refusal(job, region)
            if isinstance(plan, UserError):
                assert name in str(plan)
                assert plan.remedy
                continue
            planned_types += 1
            offer = CATALOGUE.offer(name, region)
            assert offer is not None
            assert plan.candidates[0].zones == offer.zones
            assert plan.quote_usd > 0
    assert planned_types > 700
