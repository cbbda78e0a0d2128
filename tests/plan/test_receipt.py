from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from flyback.plan.planner import make_plan
from flyback.plan.prices import GB
from flyback.plan.receipt import MachineUse, make_receipt
from flyback.spec.codec import encode, loads
from flyback.spec.job import JobSpec
from flyback.spec.plan import Plan
from flyback.spec.receipt import Receipt, Usage

Job = Callable[..., JobSpec]
HOURS = 34 / 60


@pytest.fixture
def plan(job: Job) -> Plan:
    """A T4 for half an hour."""
    asked = {"any_of": ("g4dn.xlarge",), "disk_gib": 100}
    return make_plan(job(resources=asked), region="us-east-1")


USAGE = Usage(
    instance_type="g4dn.xlarge",
    zone="us-east-1a",
    market="spot",
    hours=HOURS,
    boot_hours=4 / 60,
    disk_gib=100,
    stored_bytes=GB,
    log_bytes=GB // 20,
    put_requests=0,
    get_requests=0,
)


def receipt(plan: Plan, usage: Usage = USAGE, **use: object) -> Receipt:
    """The receipt of one machine."""
    machine = MachineUse(
        instance_type=usage.instance_type or "", market=usage.market, hours=usage.hours
    )
    return make_receipt(
        run_id="spectral-1",
        plan=plan,
        usage=usage,
        rehearsed=True,
        machines=(dataclasses.replace(machine, **use),) if use else (),
    )


def dollars(made: Receipt) -> dict[str, float]:
    """Cost by item."""
    return {line.item: line.usd for line in made.lines}


@pytest.mark.parametrize(
    ("spot", "total"), [(0.16, 0.148), (0.204, 0.173), (0.2674, 0.209), (0.3171, 0.237)]
)
def test_half_an_hour_on_a_t4_by_hand(plan: Plan, spot: float, total: float) -> None:
    """30 min and 4 of boot, 100 GB gp3, 1 GB of results, 50 MB of logs.

    By hand: 34/60 h x spot; 100 x 0.08/730 x 34/60 = 0.0062; 0.005 x 34/60 = 0.0028;
    1 x 0.023; 0.05 x 0.50 = 0.025.
    """
    made = receipt(plan, spot_usd_hour=spot)
    cost = dollars(made)
    assert cost["compute"] == pytest.approx(spot * 34 / 60, abs=1e-12)
    assert cost["EBS gp3 disk"] == pytest.approx(0.0062, abs=5e-5)
    assert cost["public IPv4"] == pytest.approx(0.0028, abs=5e-5)
    assert cost["S3, kept a month"] == pytest.approx(0.023, abs=1e-12)
    assert cost["CloudWatch Logs"] == pytest.approx(0.025, abs=1e-9)
    assert round(made.total_usd, 3) == total


def test_on_demand_by_hand(plan: Plan) -> None:
    """The same half hour without spot: 0.526 x 34/60 = 0.298."""
    made = receipt(plan, dataclasses.replace(USAGE, market="on-demand"))
    assert round(dollars(made)["compute"], 3) == 0.298
    assert round(made.total_usd, 3) == 0.355


def test_taken_away_in_the_first_hour_is_free_but_for_disk_and_address(plan: Plan) -> None:
    """EC2 does not bill such a machine; everything beside it is billed."""
    made = receipt(plan, interrupted_by_ec2=True)
    billed = receipt(plan)
    assert made.lines[0].usd == 0
    assert made.lines[0].quantity == pytest.approx(HOURS)
    assert made.lines[0].source == "taken away by EC2 in its first hour: not billed"
    assert made.lines[1:] == billed.lines[1:]
    assert round(made.total_usd, 3) == 0.057


@pytest.mark.parametrize(("market", "hours"), [("spot", 1.0), ("on-demand", 0.5)])
def test_every_other_end_is_paid_for(plan: Plan, market: str, hours: float) -> None:
    """After the first hour, and on demand, nothing is free."""
    usage = dataclasses.replace(USAGE, market=market, hours=hours)
    assert receipt(plan, usage, interrupted_by_ec2=True).lines[0].usd > 0


def test_two_machines_are_two_lines(plan: Plan) -> None:
    """A free first attempt and a paid second one; disk and address for both."""
    lost = MachineUse(
        instance_type="g4dn.xlarge", market="spot", hours=0.25, interrupted_by_ec2=True
    )
    kept = MachineUse(instance_type="g4dn.xlarge", market="on-demand", hours=0.5)
    usage = dataclasses.replace(USAGE, hours=0.75, market="on-demand")
    made = make_receipt(
        run_id="spectral-1", plan=plan, usage=usage, rehearsed=False, machines=(lost, kept)
    )
    cost = dollars(made)
    assert [line.item for line in made.lines[:2]] == ["compute", "compute, attempt 2"]
    assert (cost["compute"], cost["compute, attempt 2"]) == (0.0, 0.263)
    assert cost["public IPv4"] == pytest.approx(0.75 * 0.005)


@pytest.mark.parametrize(
    ("seconds", "billed"), [(0, 0), (1, 60), (60, 60), (60.001, 61), (2040, 2040)]
)
def test_machines_are_billed_by_the_second_and_a_minute_at_least(
    plan: Plan, seconds: float, billed: int
) -> None:
    """EC2's rule; a second that is the rounding of a float is not billed."""
    made = receipt(plan, dataclasses.replace(USAGE, hours=seconds / 3600))
    assert made.lines[0].quantity * 3600 == pytest.approx(billed, abs=1e-9)


def test_no_machine_no_compute(plan: Plan) -> None:
    """A run that never got one pays for what it stored."""
    usage = dataclasses.replace(USAGE, instance_type=None, hours=3.0)
    made = receipt(plan, usage)
    assert made.lines[0].source == "no machine was started"
    assert round(made.total_usd, 3) == 0.048


def test_another_type_than_quoted_is_priced_all_the_same(plan: Plan) -> None:
    """From the catalogue; a type that nobody has priced is an error, never zero."""
    other = receipt(plan, dataclasses.replace(USAGE, instance_type="g5.xlarge"))
    assert other.lines[0].unit_usd == 0.436
    with pytest.raises(ValueError, match=r"u-24tb1.metal in us-east-1: no price is known"):
        receipt(plan, dataclasses.replace(USAGE, instance_type="u-24tb1.metal"))


def test_a_local_run_costs_nothing(job: Job) -> None:
    """Its hours are told all the same."""
    local = make_plan(job(engine="local"), region="us-east-1")
    usage = dataclasses.replace(USAGE, instance_type=None, zone=None, market="local")
    made = receipt(local, usage)
    assert made.total_usd == 0
    assert made.lines[0].quantity == HOURS
    assert [line.item for line in made.lines] == [line.item for line in local.quote]


def test_a_receipt_is_this_document(plan: Plan, golden: Callable[[str, str], None]) -> None:
    """The whole receipt of the half hour, as it is stored, beside its quote."""
    made = receipt(plan)
    text = json.dumps(encode(made), indent=2) + "\n"
    golden("receipt.json", text)
    assert loads(Receipt, text) == made
