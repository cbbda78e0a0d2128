"""Comparisons: intervals that cover, verdicts that hold, and corrections for many of them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.stats.bootstrap import block_length, interval_of, median, resampled
from flyback.stats.changepoints import change_points
from flyback.stats.holm import adjusted
from flyback.stats.precision import is_precise, median_interval, relative_half_width
from flyback.stats.stationarity import drift, is_settled, settled_after
from flyback.stats.verdict import judge, paired, unpaired

POSITIVE = st.integers(1, 10**9)


def noisy(rng: random.Random, level: float, n: int) -> list[float]:
    """Times of a busy machine: a floor, small noise, and every tenth a spike."""
    return [
        level * (1 + abs(rng.gauss(0, 0.03))) * (3 if rng.random() < 0.1 else 1) for _ in range(n)
    ]


def rounds(seed: int, slower: float) -> dict[int, list[tuple[float, float]]]:
    """Three processes of sixty rounds; both sides share each round's state of the machine."""
    rng = random.Random(seed)
    found = {}
    for restart in range(3):
        pairs = []
        for _ in range(60):
            state = 1 + rng.random()  # the machine runs at up to half speed
            a, b = (state * rng.gauss(100, 2) for _ in range(2))
            pairs.append((a, b * slower))
        found[restart] = pairs
    return found


@given(st.lists(POSITIVE, min_size=7, max_size=200))
def test_the_median_lies_in_its_interval(samples: list[int]) -> None:
    """The interval is made of samples and holds the median."""
    found = median_interval(samples)
    if len(samples) < 8:
        return
    assert found is not None
    assert found[0] <= median(samples) <= found[1]
    assert set(found) <= set(samples)


def test_precision_asks_for_one_per_cent() -> None:
    """Equal samples are precise at once, scattered ones are not, few say nothing."""
    assert is_precise([1000] * 30)
    assert not is_precise([1000, 2000] * 15)
    assert relative_half_width([5, 5, 5]) is None


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60), st.integers(0, 99))
def test_replicates_of_a_median_stay_within_the_values(values: list[float], seed: int) -> None:
    """Sorted, seeded, and never beyond what was measured."""
    found = resampled([values], resamples=50, seed=seed)
    assert found == sorted(found) == resampled([values], resamples=50, seed=seed)
    assert min(values) <= found[0] <= found[-1] <= max(values)


def test_a_correlated_series_is_drawn_in_longer_blocks() -> None:
    """A random walk gets twice the block of noise, and a short series none."""
    rng = random.Random(1)
    noise = [rng.gauss(0, 1) for _ in range(400)]
    walk = [sum(noise[:i]) for i in range(400)]
    assert block_length(walk) == 2 * block_length(noise)
    assert block_length(noise[:10]) == 1


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """99 % intervals of a median of 60: at most 4 misses in 100."""
    misses = 0
    for seed in range(100):
        rng = random.Random(seed)
        values = [rng.gauss(0, 1) for _ in range(60)]
        low, high = interval_of(resampled([values], resamples=300, seed=seed), 0.99)
        misses += not low <= 0 <= high
    assert misses <= 4


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.04, 1.06, "slower"),
        (0.94, 0.96, "faster"),
        (0.99, 1.02, "same"),
        (1.02, 1.04, "undecided"),
        (0.9, 1.1, "undecided"),
        (1.001, 1.002, "same"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, verdict: str) -> None:
    """Across a border nothing is claimed; a certain change below 3 % is none."""
    assert judge(low, high) == verdict


@given(st.floats(0.5, 2), st.floats(1, 1.5))
def test_swapping_the_sides_turns_the_verdict_around(low: float, width: float) -> None:
    """Slower one way is faster the other."""
    other = {"faster": "slower", "slower": "faster"}
    verdict = judge(low, low * width)
    assert judge(1 / (low * width), 1 / low) == other.get(verdict, verdict)


def test_equal_sides_are_the_same_and_a_planted_change_is_found() -> None:
    """Interleaved rounds on a machine whose speed halves and doubles: 20 of 20 each way."""
    assert {paired(rounds(seed, 1.0)).verdict for seed in range(20)} == {"same"}
    assert {paired(rounds(seed, 1.05)).verdict for seed in range(20)} == {"slower"}
    assert {paired(rounds(seed, 0.95)).verdict for seed in range(20)} == {"faster"}


def test_one_unlucky_process_decides_nothing() -> None:
    """6 % slower in one process of three, equal in the others: no claim."""
    found = rounds(1, 1.0)
    found[0] = [(a, b * 1.06) for a, b in found[0]]
    assert paired(found).verdict in ("undecided", "same")
    assert paired({0: found[0]}).verdict == "slower"


def first_verdict(seed: int, looks: int) -> str:
    """Of a true change of just the least effect, looked at after 3, 4, … 12 processes."""
    rng = random.Random(seed)
    found: dict[int, list[tuple[float, float]]] = {}
    for restart in range(12):
        found[restart] = [(1.0, 1.03 * math.exp(rng.gauss(0, 0.02))) for _ in range(8)]
        if restart >= 2 and (verdict := paired(found, looks=looks).verdict) != "undecided":
            return verdict
    return "undecided"


def test_looking_again_and_again_makes_no_verdict() -> None:
    """Of forty seeds these four are called by ten looks at 99 %; by looks that share it, none."""
    called = (2, 8, 28, 33)
    assert "undecided" not in {first_verdict(seed, looks=1) for seed in called}
    assert {first_verdict(seed, looks=10) for seed in called} == {"undecided"}


def test_an_interval_of_several_looks_is_the_wider_one() -> None:
    """And a change is less surprising; where it comes from is counted."""
    found = rounds(2, 1.05)
    one, of_ten = paired(found), paired(found, looks=10)
    assert of_ten.low < one.low < one.high < of_ten.high
    assert of_ten.p_changed > one.p_changed
    assert one.restarts == 3


def test_few_rounds_decide_nothing() -> None:
    """Seven pairs, however equal."""
    assert paired({0: [(100.0, 200.0)] * 7}).verdict == "undecided"


def test_a_control_cell_takes_out_what_the_machine_did() -> None:
    """Both cells 20 % slower: the machine, so the same; only the cell: slower."""
    rng = random.Random(3)
    a, b = noisy(rng, 100, 800), noisy(rng, 120, 800)
    control = noisy(rng, 50, 800), noisy(rng, 60, 800)
    assert unpaired(a, b).verdict == "slower"
    assert unpaired(a, b, control).verdict == "same"
    assert unpaired(a, b, control).value == pytest.approx(1, abs=0.02)
    assert not unpaired(a, b, control).paired


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_keeps_the_order_and_never_helps(p: list[float]) -> None:
    """Adjusted values are no smaller, at most one, and in the order of the originals."""
    found = adjusted(p)
    assert all(after >= before for before, after in zip(p, found, strict=True))
    assert all(value <= 1 for value in found)
    pairs = sorted(zip(p, found, strict=True))
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)


def test_holm_by_hand() -> None:
    """The example of three tests: 3 x, 2 x, 1 x, and never below the one before."""
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_step_is_found_where_it_is_and_noise_has_none() -> None:
    """A 10 % step after 20 of 40 runs is found within a run; 0 of 10 quiet histories have one."""
    rng = random.Random(5)
    step = [math.log(rng.gauss(100 if i < 20 else 110, 2)) for i in range(40)]
    (found,) = change_points(step)
    assert abs(found - 20) <= 1
    quiet = [[rng.gauss(100, 2) for _ in range(30)] for _ in range(10)]
    assert sum(bool(change_points(series)) for series in quiet) <= 1
    assert change_points([1.0] * 9) == []


def test_two_steps_are_found() -> None:
    """Up and down again."""
    rng = random.Random(6)
    series = [rng.gauss(120 if 15 <= i < 30 else 100, 2) for i in range(45)]
    found = change_points(series)
    assert len(found) == 2
    assert abs(found[0] - 15) <= 1
    assert abs(found[1] - 30) <= 1


def test_warm_up_ends_where_the_level_holds() -> None:
    """A decaying start, then a level: settled in the first windows of the level."""
    series = [200, 180, 160, 140, 120, 110, *([100] * 20)]
    assert settled_after(series, 3) == 6
    assert not is_settled(series[:6], 3)
    assert is_settled(series, 3)
    assert settled_after(list(range(1, 40)), 3) is None


def test_drift_is_seen() -> None:
    """2 % from the first third to the last; nothing from too few."""
    series = [100] * 10 + [101] * 10 + [102] * 10
    assert drift(series) == pytest.approx(0.02)
    assert drift([1, 2, 3]) is None
