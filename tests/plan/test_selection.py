from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flyback.errors import UserError
from flyback.plan.catalogue import Catalogue, load_catalogue
from flyback.plan.select import Selection, select
from flyback.spec.job import Resources, SpotPolicy

SPOT = SpotPolicy()
FALL_BACK = SpotPolicy(then="on-demand")
ON_DEMAND = SpotPolicy(attempts=0)


def chosen(region: str = "us-east-1", spot: SpotPolicy = SPOT, **resources: Any) -> Selection:
    """Select from the shipped catalogue."""
    return select(
        Resources(**resources), spot, region=region, arch="x86_64", catalogue=load_catalogue()
    )


def types(selection: Selection) -> list[str]:
    """Names of the candidates."""
    return [candidate.instance_type for candidate in selection.candidates]


def sentence(region: str = "us-east-1", spot: SpotPolicy = SPOT, **resources: Any) -> str:
    """What the user reads where nothing can be selected."""
    with pytest.raises(UserError) as error:
        chosen(region, spot, **resources)
    assert error.value.exit_code == 2
    return str(error.value)


def with_spot(name: str, spot_usd_hour: float | None) -> Catalogue:
    """One type in one region, at another spot price."""
    offer = load_catalogue().offer(name, "us-east-1")
    assert offer is not None
    return Catalogue([dataclasses.replace(offer, spot_usd_hour=spot_usd_hour)])


def test_the_cheapest_on_spot_comes_first() -> None:
    """A job that asks for one GPU gets the cheapest whole one."""
    selection = chosen()
    assert types(selection) == ["g4dn.xlarge", "g4dn.2xlarge"]
    assert selection.market == "spot"
    best = selection.candidates[0]
    assert (best.gpu, best.gpu_count, best.spot_usd_hour) == ("T4", 1, 0.2039)
    assert best.zones[0] == "us-east-1a"
    assert best.price_source == (
        "spot: skypilot v8 00148f2a AZ median of 5 (0.2-0.2158), after 2025-06; "
        "on-demand: karpenter 2026-07-20"
    )


def test_named_types_are_sorted_by_price_and_equals_by_the_jobs_order() -> None:
    """`any_of` is a set to choose from, not a preference."""
    assert types(chosen(any_of=("g5.xlarge", "g4dn.xlarge"))) == ["g4dn.xlarge", "g5.xlarge"]
    alike = chosen(spot=ON_DEMAND, any_of=("m6i.xlarge", "m5.xlarge"), count=0)
    assert types(alike) == ["m6i.xlarge", "m5.xlarge"]
    assert {candidate.on_demand_usd_hour for candidate in alike.candidates} == {0.192}


def test_without_spot_the_on_demand_price_decides() -> None:
    """A job that wants no spot is sorted by what it will pay."""
    selection = chosen(spot=ON_DEMAND, count=0, vcpus=2)
    assert selection.market == "on-demand"
    rates = [candidate.on_demand_usd_hour or 0.0 for candidate in selection.candidates]
    assert rates == sorted(rates)


def test_an_unnamed_candidate_is_no_surprise_on_the_bill() -> None:
    """Whichever candidate is granted costs at most half as much again as the one quoted."""
    candidates = chosen(count=0).candidates
    assert 1 < len(candidates) <= 8
    for prices in (
        [candidate.spot_usd_hour or 0.0 for candidate in candidates],
        [candidate.on_demand_usd_hour or 0.0 for candidate in candidates],
    ):
        assert max(prices) <= 1.5 * prices[0]


@pytest.mark.parametrize("written", ["L4", "l4", "NVIDIA L4", "nvidia-l4"])
def test_a_gpu_model_may_be_written_as_people_do(written: str) -> None:
    """Case, hyphens and the maker's name don't matter; L40S is another model."""
    selection = chosen(gpu=written)
    assert {candidate.gpu for candidate in selection.candidates} == {"L4"}


def test_gpu_memory_is_what_the_machine_has_not_what_it_is_sold_as() -> None:
    """24 GiB is more than an L4's 24 GB, and the plan says so."""
    selection = chosen(gpu_memory_gib=24)
    assert types(selection)[0] == "g6e.xlarge"
    reasons = {lost.instance_type: lost.reason for lost in selection.rejections}
    assert reasons["g6.xlarge"] == "has 22.4 GiB (24 GB) of GPU memory each, 24 GiB asked for"
    assert types(chosen(gpu_memory_gib=22))[0] == "g6.xlarge"


def test_a_fraction_of_a_gpu_is_only_chosen_by_name() -> None:
    """An eighth of an L4 is cheapest and measures something else; named, it is one GPU."""
    unnamed = chosen(spot=ON_DEMAND, gpu="L4")
    assert types(unnamed) == ["g6.xlarge", "g6.2xlarge"]
    assert "g6f.large has 1/8 of a GPU: only where any_of names it" in {
        f"{lost.instance_type} {lost.reason}" for lost in unnamed.rejections
    }
    named = chosen(any_of=("g6f.large",)).candidates[0]
    assert (named.gpu, named.gpu_count, named.spot_usd_hour) == ("L4", 1, None)


def test_an_unnamed_machine_has_exactly_the_gpus_asked_for() -> None:
    """More would idle; a type that is named may have more."""
    assert {c.gpu_count for c in chosen(count=4).candidates} == {4}
    assert types(chosen(count=2, any_of=("g4dn.12xlarge",))) == ["g4dn.12xlarge"]
    assert types(chosen(count=0, any_of=("g4dn.xlarge", "c7i.xlarge"))) == [
        "c7i.xlarge",
        "g4dn.xlarge",
    ]


def test_processors_and_memory_are_lower_bounds() -> None:
    """Nothing smaller passes."""
    candidates = chosen(count=0, vcpus=8, memory_gib=30).candidates
    assert candidates[0].instance_type == "m7i.2xlarge"
    assert all(c.vcpus >= 8 and c.memory_gib >= 30 for c in candidates)


def test_burstable_machines_are_only_chosen_by_name() -> None:
    """Their speed depends on credits, so no measurement on them repeats."""
    assert not any(name.startswith("t") for name in types(chosen(count=0)))
    assert types(chosen(count=0, any_of=("t3.medium",))) == ["t3.medium"]


def test_arm_needs_an_image_for_it() -> None:
    """A cheaper machine that can't run the program is no candidate."""
    assert "is arm64, x86_64 is needed" in sentence(any_of=("g5g.xlarge",))


def test_a_spot_price_near_on_demand_is_no_spot() -> None:
    """At 95 % there is none to spare: on-demand where the job allows it, else a refusal."""
    no_spot = with_spot("g4dn.xlarge", 0.95 * 0.526)
    resources = Resources()
    selection = select(resources, FALL_BACK, region="us-east-1", arch="x86_64", catalogue=no_spot)
    assert selection.market == "on-demand"
    assert selection.candidates[0].spot_usd_hour is None
    with pytest.raises(UserError, match="no spot worth the name here"):
        select(resources, SPOT, region="us-east-1", arch="x86_64", catalogue=no_spot)
    cheaper = with_spot("g4dn.xlarge", 0.94 * 0.526)
    kept = select(resources, SPOT, region="us-east-1", arch="x86_64", catalogue=cheaper)
    assert kept.market == "spot"


def test_an_unknown_spot_price_is_still_asked_for_on_spot() -> None:
    """Unknown is not unavailable."""
    unknown = with_spot("g4dn.xlarge", None)
    selection = select(Resources(), SPOT, region="us-east-1", arch="x86_64", catalogue=unknown)
    assert selection.market == "spot"


def test_a_type_without_a_price_is_never_planned() -> None:
    """Without an on-demand price there is no ceiling."""
    assert "p5.4xlarge has no known on-demand price here, so no ceiling" in sentence(
        "us-west-2", any_of=("p5.4xlarge",)
    )


def test_an_unknown_type_is_named_with_a_guess() -> None:
    """The user reads which word is wrong."""
    assert sentence(any_of=("g5.xlarge", "g4dn.xlrge")).startswith(
        "resources.any_of: the catalogue has no instance type 'g4dn.xlrge'\n  → did you mean "
        "g4dn.xlarge"
    )


def test_a_region_without_the_type_says_where_it_is_and_what_is_near() -> None:
    """The two ways out: another region, another type."""
    assert sentence("eu-west-1", any_of=("g6.xlarge",)) == (
        "resources.any_of: g6.xlarge is not offered in eu-west-1; it is in ap-northeast-1, "
        "eu-central-1, us-east-1, us-west-2\n"
        "  → nearest in eu-west-1: g5.xlarge ($0.5746/h), g5.4xlarge ($0.7977/h), "
        "g5.8xlarge ($1.23/h)"
    )


def test_a_type_that_no_region_offers_says_so() -> None:
    """p3 has prices in every list and machines in none."""
    assert sentence(any_of=("p3.2xlarge",)) == (
        "resources.any_of: p3.2xlarge is not offered in us-east-1, nor in any other region of the "
        "catalogue\n"
        "  → nearest in us-east-1: g4dn.xlarge ($0.2039/h), g4dn.2xlarge ($0.2933/h), "
        "g4dn.4xlarge ($0.3853/h)"
    )


def test_one_type_of_several_may_be_missing() -> None:
    """The others go on, and the plan says which one is not there."""
    selection = chosen("eu-west-1", any_of=("g6.xlarge", "g5.xlarge"))
    assert types(selection) == ["g5.xlarge"]
    assert selection.rejections[0].instance_type == "g6.xlarge"
    assert selection.rejections[0].reason.startswith("is not offered in eu-west-1; it is in")


def test_an_unknown_region_lists_the_known_ones() -> None:
    """With a guess."""
    assert sentence("eu-wst-1") == (
        "region: no prices are known for region 'eu-wst-1'\n"
        "  → did you mean eu-west-1? regions with prices: ap-northeast-1, eu-central-1, eu-west-1, "
        "us-east-1, us-west-2"
    )


@pytest.mark.parametrize(
    ("asked", "meant"), [("A10", "A10G"), ("RTX PRO 6000", "RTX PRO Server 6000")]
)
def test_an_unknown_gpu_is_guessed(asked: str, meant: str) -> None:
    """And all models are listed."""
    assert f"did you mean {meant}? models: A100, A10G" in sentence(gpu=asked)


def test_a_gpu_and_none_of_them_is_a_contradiction() -> None:
    """Rather a question than a guess."""
    assert sentence(gpu="T4", count=0).startswith(
        "resources: count is 0, but a GPU model or its memory is asked for"
    )


def test_nothing_fits_names_the_two_nearest() -> None:
    """What comes nearest, and what it lacks."""
    assert sentence(gpu="A100") == (
        "resources: no machine in us-east-1 has what the job asks for\n"
        "  → ask for something else, or name a type in any_of. Nearest: "
        "p4d.24xlarge has 8 A100, 1 asked for · p4de.24xlarge has 8 A100, 1 asked for"
    )
    assert sentence(any_of=("c7i.large",)).endswith(
        "Nearest: c7i.large has no GPU, 1 asked for (count: 0 asks for none)"
    )
