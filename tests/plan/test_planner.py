from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from flyback.errors import UserError
from flyback.plan.expectation import Expectation, expect
from flyback.plan.planner import ceiling_of, lease_of, make_plan
from flyback.spec.codec import encode, loads
from flyback.spec.job import JobSpec, SpotPolicy
from flyback.spec.plan import Plan

Job = Callable[..., JobSpec]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/spectral@sha256:" + "0" * 64
ITEMS = [
    "compute",
    "EBS gp3 disk",
    "public IPv4",
    "S3, kept a month",
    "S3 writes, lists",
    "S3 reads",
    "CloudWatch Logs",
    "ECR image, share",
]


def test_a_plan_is_this_document(job: Job, golden: Callable[[str, str], None]) -> None:
    """The whole plan of a spectral job on a T4, as it is stored."""
    made = make_plan(job(resources={"gpu": "T4"}, max_usd=1.0), region="us-east-1")
    text = json.dumps(encode(made), indent=2) + "\n"
    golden("plan.json", text)
    assert loads(Plan, text) == made


def test_a_smoke_run_costs_less_than_three_cents(job: Job) -> None:
    """The promise of the README, for a GPU in us-east-1."""
    made = make_plan(job(), region="us-east-1", expected=expect(job(), smoke=True))
    assert made.candidates[0].instance_type == "g4dn.xlarge"
    assert made.expected_hours == pytest.approx(5 / 60)
    assert 0 < made.quote_usd < 0.03


def test_the_quote_lists_every_item_and_says_why_one_is_free(job: Job) -> None:
    """Nothing is left out for being zero."""
    quote = make_plan(job(), region="us-east-1").quote
    assert [line.item for line in quote] == ITEMS
    assert quote[0].unit == "h g4dn.xlarge spot"
    assert (quote[-1].usd, quote[-1].source) == (0.0, "the job has no container image")
    assert all(line.source for line in quote)


def test_prices_taken_from_another_region_say_so(job: Job) -> None:
    """Unit prices are known for us-east-1 only."""
    quote = make_plan(job(), region="eu-central-1").quote
    assert quote[1].source.startswith("us-east-1 price taken for eu-central-1: infracost")
    assert "us-east-1 price" not in quote[0].source


def test_an_image_in_ecr_is_paid_by_the_hour_and_shown_by_the_month(job: Job) -> None:
    """The run's share is small; what the image costs all month is said beside it."""
    line = make_plan(job(image=IMAGE), region="us-east-1").quote[-1]
    assert line.usd == pytest.approx(6 * 0.10 * (5 / 60) / 730)
    assert line.source.endswith("kept all month it costs $0.60, whatever runs")
    elsewhere = make_plan(job(image="docker.io/x@sha256:0"), region="us-east-1").quote[-1]
    assert (elsewhere.usd, elsewhere.source) == (0.0, "no image in a registry of this account")


def test_an_image_for_arm_asks_for_arm(job: Job) -> None:
    """The image's tag decides the architecture."""
    made = make_plan(job(image="x/y:arm64@sha256:0", resources={"gpu": "T4g"}), region="us-east-1")
    assert made.candidates[0].instance_type == "g5g.xlarge"


def test_max_hours_binds(job: Job) -> None:
    """And the plan says that it does."""
    made = make_plan(job(max_hours=2.5, max_usd=100.0), region="us-east-1")
    assert (made.deadline_hours, made.deadline_reason) == (2.5, "max_hours 2.5 h")


def test_max_usd_becomes_a_deadline_at_the_on_demand_rate(job: Job) -> None:
    """A spot price can rise to on-demand, so the ceiling is kept at that.

    By hand: g4dn.xlarge 0.526 + 50 GB x 0.08 / 730 + 0.005 = 0.5364795/h; storage, requests and
    logs, 0.00058277, are set aside; (0.20 - 0.00058277) / 0.5364795 h = 1338 s.
    """
    made = make_plan(job(resources={"any_of": ("g4dn.xlarge",)}, max_usd=0.20), region="us-east-1")
    assert made.deadline_hours == 1338 / 3600
    assert made.deadline_reason == (
        "max_usd $0.2 at $0.5365/h, g4dn.xlarge on demand with disk and address"
    )
    assert 0.1998 < made.ceiling_usd <= 0.20


def test_the_dearest_candidate_sets_the_deadline(job: Job) -> None:
    """Any of them may be granted."""
    made = make_plan(
        job(resources={"any_of": ("g4dn.xlarge", "g5.xlarge")}, max_usd=0.50), region="us-east-1"
    )
    assert made.candidates[0].instance_type == "g4dn.xlarge"
    assert "g5.xlarge on demand" in made.deadline_reason
    assert made.ceiling_usd <= 0.50


def test_an_images_root_is_paid_for_where_it_is_larger(job: Job) -> None:
    """A volume is never smaller than its snapshot: deadline, ceiling and extension go by that.

    By hand: 500 GB x 0.08 / 730 in place of 50 GB is 0.04932/h more.
    """
    asked = job(resources={"any_of": ("g4dn.xlarge",)}, max_usd=0.20)
    larger, smaller = (
        make_plan(asked, region="us-east-1", expected=replace(expect(asked), root_gib=gib))
        for gib in (500, 8)
    )
    assert smaller.deadline_hours == make_plan(asked, region="us-east-1").deadline_hours
    assert larger.deadline_hours == math.floor((0.20 - 0.00058277) / 0.5857946 * 3600) / 3600
    assert larger.ceiling_usd <= 0.20
    assert ceiling_of(larger, 1.0) - ceiling_of(smaller, 1.0) == pytest.approx(450 * 0.08 / 730)
    assert lease_of(larger, 9.0).hours == larger.deadline_hours
    disk = next(line for line in larger.quote if line.item == "EBS gp3 disk")
    assert disk.quantity == pytest.approx(500 * larger.expected_hours / 730)


def test_a_budget_that_does_not_pay_for_the_boot_is_refused(job: Job) -> None:
    """Before anything is spent."""
    with pytest.raises(UserError) as error:
        make_plan(job(max_usd=0.01, resources={"any_of": ("g5.xlarge",)}), region="us-east-1")
    assert str(error.value) == (
        "max_usd: max_usd $0.01 pays for 33 s of g5.xlarge on demand ($1.016/h), and booting alone "
        "takes about 3 min\n"
        "  → raise max_usd, or name cheaper types in resources.any_of"
    )


def test_the_local_engine_costs_nothing(job: Job) -> None:
    """No candidates, the same items, all zero, each with the reason."""
    made = make_plan(job(engine="local", max_usd=0.01), region="nowhere")
    assert (made.candidates, made.region, made.market) == ((), "", "local")
    assert (made.quote_usd, made.ceiling_usd) == (0.0, 0.0)
    assert [line.item for line in made.quote] == ITEMS
    assert {line.source for line in made.quote} == {"the user's own machine: nothing is billed"}
    assert made.deadline_hours == 1.0


def test_on_demand_from_the_start_is_quoted_so(job: Job) -> None:
    """No spot attempts, no spot price."""
    made = make_plan(job(spot=SpotPolicy(attempts=0)), region="us-east-1")
    assert made.market == "on-demand"
    assert made.quote[0].unit_usd == made.candidates[0].on_demand_usd_hour


def test_an_unknown_spot_price_is_quoted_at_its_upper_bound(job: Job) -> None:
    """Rather too much than an invented discount."""
    made = make_plan(job(resources={"any_of": ("g6f.large",)}), region="us-east-1")
    assert made.quote[0].unit_usd == 0.202
    assert made.quote[0].source.startswith("on-demand price as upper bound of spot; ")


def test_the_quote_never_goes_past_the_deadline(job: Job) -> None:
    """A long expectation is cut where the run would be."""
    made = make_plan(job(max_hours=0.5), region="us-east-1", expected=Expectation(run_minutes=600))
    assert made.expected_hours == made.deadline_hours == 0.5


@pytest.mark.parametrize(
    ("fields", "minutes", "basis"),
    [
        ({}, 2, "spectral takes about 2 min per cell, 1 of them"),
        ({"sweep": {"nfft": (1, 2, 3)}}, 6, "spectral takes about 2 min per cell, 3"),
        (
            {"workload": None, "command": ("true",)},
            57,
            "nothing is known of a command's duration: quoted until max_hours",
        ),
    ],
)
def test_the_expected_duration_is_stated(
    job: Job, fields: dict[str, object], minutes: float, basis: str
) -> None:
    """Each default says in a sentence what it rests on."""
    expected = expect(job(**fields))
    assert expected.run_minutes == minutes
    assert expected.boot_minutes == 3
    assert expected.basis.startswith(basis)


def test_a_smoke_run_is_expected_to_be_short(job: Job) -> None:
    """However many cells the job has."""
    expected = expect(job(sweep={"nfft": (1, 2, 3)}), smoke=True)
    assert (expected.run_minutes, expected.basis) == (2, "a smoke run takes about 2 min")
