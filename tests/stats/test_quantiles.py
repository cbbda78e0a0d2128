"""Percentiles and their bounds: exact, distribution-free, and nothing removed."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from flyback.stats.quantiles import (
    CONFIDENCE,
    MIN_SAMPLES,
    PER_MILLE,
    percentile,
    rank,
    rank_bounds,
    summarize,
)

SAMPLES = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)
ENOUGH = 5000


def coverage(n: int, per_mille: int, bounds: tuple[int, int]) -> float:
    """Probability that these order statistics enclose the quantile of a continuous distribution."""
    low, high = bounds
    p = per_mille / 1000
    return float(binom.cdf(high - 1, n, p) - binom.cdf(low - 1, n, p))


@given(SAMPLES, st.sampled_from(sorted(PER_MILLE.values())))
def test_a_percentile_is_the_smallest_sample_that_enough_do_not_exceed(
    samples: list[int], per_mille: int
) -> None:
    """The nearest rank is exact, without floating point: the share reaches p, one less does not."""
    value = percentile(sorted(samples), per_mille)
    share = Fraction(per_mille, 1000)
    assert value in samples
    assert Fraction(sum(s <= value for s in samples), len(samples)) >= share
    assert Fraction(sum(s < value for s in samples), len(samples)) < share


@pytest.mark.parametrize("n", [1, 2, 7, 100, 101, 459, 1000, 4603])
@pytest.mark.parametrize("name", PER_MILLE)
def test_percentiles_agree_with_numpy(n: int, name: str) -> None:
    """Whoever recomputes a percentile with NumPy's inverted_cdf gets the same number."""
    samples = np.random.default_rng(n).integers(0, 10**9, n)
    theirs = np.quantile(samples, PER_MILLE[name] / 1000, method="inverted_cdf")
    assert percentile(sorted(samples.tolist()), PER_MILLE[name]) == theirs


@pytest.mark.parametrize("name", [name for name in PER_MILLE if name != "p50"])
def test_the_least_sample_counts_are_where_bounds_begin_to_exist(name: str) -> None:
    """44, 90, 459 and 4603 follow from the 99 % confidence; one sample less has no bounds."""
    fewest = MIN_SAMPLES[name]
    assert rank_bounds(fewest, PER_MILLE[name]) is not None
    assert rank_bounds(fewest - 1, PER_MILLE[name]) is None


@pytest.mark.parametrize("name", PER_MILLE)
@pytest.mark.parametrize("n", [30, 44, 90, 459, 460, 1000, 4603, 20_000, 1_000_000])
def test_bounds_cover_with_the_stated_confidence(n: int, name: str) -> None:
    """By SciPy's binomial distribution, the ranks enclose the quantile with 99 % or more."""
    bounds = rank_bounds(n, PER_MILLE[name])
    if bounds is None:
        assert n < MIN_SAMPLES[name]
        return
    assert bounds[0] <= rank(n, PER_MILLE[name]) <= bounds[1]
    assert coverage(n, PER_MILLE[name], bounds) >= CONFIDENCE


@pytest.mark.parametrize("n", [30, 44, 61, 90, 120])
@pytest.mark.parametrize("per_mille", [500, 900, 950])
def test_no_narrower_bounds_would_do(n: int, per_mille: int) -> None:
    """Among all pairs of ranks with enough coverage, none is closer together."""
    bounds = rank_bounds(n, per_mille)
    narrowest = min(
        (
            high - low
            for low in range(1, n)
            for high in range(low + 1, n + 1)
            if coverage(n, per_mille, (low, high)) >= CONFIDENCE
        ),
        default=None,
    )
    assert (bounds[1] - bounds[0] if bounds else None) == narrowest


@pytest.mark.parametrize("name", PER_MILLE)
@pytest.mark.parametrize("heavy", [False, True], ids=["exponential", "lognormal"])
def test_bounds_cover_known_quantiles(name: str, *, heavy: bool) -> None:
    """Over 1000 seeded experiments the true quantile lies outside in about 1 % of them."""
    n, trials = max(MIN_SAMPLES[name], 600), 1000
    p = PER_MILLE[name] / 1000
    rng = np.random.default_rng(7)
    exponent = rng.exponential(size=(trials, n))
    truth = -np.log1p(-p)
    samples = np.sort(np.exp(2 * exponent) if heavy else exponent, axis=1)
    truth = np.exp(2 * truth) if heavy else truth
    bounds = rank_bounds(n, PER_MILLE[name])
    assert bounds is not None
    inside = (samples[:, bounds[0] - 1] <= truth) & (truth <= samples[:, bounds[1] - 1])
    # 99 % of 1000, less four standard deviations of that count
    assert inside.mean() >= 0.99 - 4 * (0.99 * 0.01 / trials) ** 0.5


def test_ties_only_make_the_bounds_safer() -> None:
    """With a coarse clock, samples tie; the bounds still cover."""
    rng = np.random.default_rng(3)
    samples = np.sort(rng.integers(0, 5, (1000, 600)), axis=1)
    bounds = rank_bounds(600, 500)
    assert bounds is not None
    inside = (samples[:, bounds[0] - 1] <= 2) & (samples[:, bounds[1] - 1] >= 2)
    assert inside.mean() >= 0.99


@given(SAMPLES, st.randoms())
def test_a_summary_is_of_every_sample(samples: list[int], random: object) -> None:
    """n, min, max and mean are over all samples, in whatever order they came."""
    figures = summarize(samples)
    assert figures["n"] == len(samples)
    assert figures["min"] == min(samples)
    assert figures["max"] == max(samples)
    mean = figures["mean"]
    assert isinstance(mean, int)
    assert abs(mean - Fraction(sum(samples), len(samples))) <= Fraction(1, 2)
    shuffled = samples.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert summarize(shuffled) == figures


@given(SAMPLES)
def test_percentiles_rise_and_lie_within_their_bounds(few: list[int]) -> None:
    """p50 <= p90 <= … <= max, and each lies between its bounds."""
    figures = summarize(few * (ENOUGH // len(few) + 1))
    values = [figures[name] for name in PER_MILLE]
    assert all(a <= b for a, b in pairwise([figures["min"], *values, figures["max"]]))  # type: ignore[operator]
    for name in PER_MILLE:
        low, high = figures[f"{name}_ci"]  # type: ignore[misc]
        assert low <= figures[name] <= high


def test_outliers_stay() -> None:
    """A tail of 2 % that is five times slower is what p99 reports; it is not cut off first."""
    quick = [100_000 + i for i in range(4900)]
    slow = [500_000 + i for i in range(100)]
    figures = summarize(quick + slow)
    assert figures["p99"] == 500_000 + 49
    assert figures["max"] == 500_099
    assert figures["n"] == 5000


@pytest.mark.parametrize(
    ("n", "known"),
    [
        (0, []),
        (1, []),
        (29, []),
        (30, ["p50"]),
        (43, ["p50"]),
        (44, ["p50", "p90"]),
        (90, ["p50", "p90", "p95"]),
        (458, ["p50", "p90", "p95"]),
        (459, ["p50", "p90", "p95", "p99"]),
        (4602, ["p50", "p90", "p95", "p99"]),
        (4603, ["p50", "p90", "p95", "p99", "p999"]),
    ],
)
def test_too_few_samples_give_null(n: int, known: list[str]) -> None:
    """A percentile is null, and so are its bounds, until the samples support it."""
    figures = summarize(range(n))
    assert [name for name in PER_MILLE if figures[name] is not None] == known
    assert [name for name in PER_MILLE if figures[f"{name}_ci"] is not None] == known
    assert figures["n"] == n
    assert (figures["max"] is None) == (n == 0)


def test_only_whole_nanoseconds_are_taken() -> None:
    """A float would hide which unit it is in; NumPy's integers are welcome."""
    with pytest.raises(TypeError):
        summarize([1.5])  # type: ignore[list-item]
    assert summarize(np.array([3, 1, 2]))["max"] == 3


def test_no_samples_have_no_percentile() -> None:
    """An empty list is the caller's mistake, and said so."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 500)


def test_the_room_needs_nothing_but_python() -> None:
    """A core install has no NumPy, and the agent compares figures too."""
    code = (
        "import sys, flyback.stats.quantiles, flyback.stats.serial;"
        "print(sorted({'numpy', 'scipy', 'pydantic', 'boto3'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
