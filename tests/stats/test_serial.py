"""How samples resemble their neighbours."""

from __future__ import annotations

import random

import pytest
from scipy.stats import spearmanr

from flyback.stats.serial import lag1_rank_correlation


@pytest.mark.parametrize("ties", [3, 10**6])
def test_it_is_spearmans_correlation_with_the_next(ties: int) -> None:
    """SciPy gives the same, with and without ties."""
    rng = random.Random(1)
    samples = [rng.randrange(ties) for _ in range(500)]
    theirs = spearmanr(samples[:-1], samples[1:]).statistic
    assert lag1_rank_correlation(samples) == pytest.approx(theirs, abs=1e-12)


def test_it_tells_clusters_from_independence() -> None:
    """Near 0 for shuffled samples, near 1 where slow ones follow slow ones, -1 in alternation."""
    rng = random.Random(2)
    clustered = [1000 * (i // 100 % 2) + rng.randrange(100) for i in range(2000)]
    shuffled = rng.sample(clustered, len(clustered))
    high, none = lag1_rank_correlation(clustered), lag1_rank_correlation(shuffled)
    assert high is not None
    assert high > 0.7
    assert none is not None
    assert abs(none) < 0.1
    assert lag1_rank_correlation([1, 9] * 50) == pytest.approx(-1)


@pytest.mark.parametrize("samples", [[], [1], [1, 2], [5, 5, 5, 5]])
def test_where_there_is_nothing_to_correlate_it_is_null(samples: list[int]) -> None:
    """Too few or all equal: no number rather than a made-up one."""
    assert lag1_rank_correlation(samples) is None
