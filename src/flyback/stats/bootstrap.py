"""Block bootstrap: how far a statistic of autocorrelated measurements would vary.

Neighbouring measurements of a busy machine resemble each other, so single values must not be drawn
independently: whole blocks of neighbours are drawn instead, around the end of the series as if it
were a ring (D. N. Politis & J. P. Romano, "A circular block-resampling procedure for stationary
data", 1992). Seeded: equal input gives equal output.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from flyback.stats.serial import lag1_rank_correlation

__all__ = ["RESAMPLES", "block_length", "interval_of", "median", "midmean", "resampled"]

RESAMPLES = 1000
"""Replicates: 5 lie beyond each end of a 99 % interval."""

_CORRELATED = 0.2
_SHARE = 10  # a series shorter than ten blocks says little about its own variation


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two in the middle where their number is even.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values, no median")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[half])
    return (ordered[half - 1] + ordered[half]) / 2


def midmean(values: Sequence[float]) -> float:
    """Mean of the middle half: a quarter of the values on each side decides nothing.

    Nearly as steady as a mean where values are well behaved, and as deaf to spikes as a median.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values, no mean")
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return math.fsum(middle) / len(middle)


def block_length(series: Sequence[float]) -> int:
    """Neighbours that are drawn together: n^(1/3), twice that where the series is correlated."""
    n = len(series)
    if n < 2 * _SHARE:
        return 1
    correlation = lag1_rank_correlation(series) or 0.0
    length = round(math.cbrt(n)) * (2 if correlation > _CORRELATED else 1)
    return max(1, min(length, n // _SHARE))


def resampled(
    strata: Sequence[Sequence[float]],
    statistic: Callable[[Sequence[float]], float] = median,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[float]:
    """The statistic of so many resamples, sorted.

    Args:
        strata: Series that were measured apart (one per process); each is resampled in itself, by
            blocks, and all are pooled.
        statistic: Of the pooled values.
        resamples: Replicates.
        seed: Of the drawing.

    Raises:
        ValueError: there are no values.
    """
    rings = [(list(series) * 2, len(series), block_length(series)) for series in strata if series]
    if not rings:
        raise ValueError("no values, nothing to resample")
    rng = random.Random(seed)  # noqa: S311  # a resampling, not a secret
    found = []
    for _ in range(resamples):
        drawn: list[float] = []
        for ring, n, length in rings:
            if length == 1:
                drawn += rng.choices(ring[:n], k=n)
                continue
            part: list[float] = []
            for _ in range(math.ceil(n / length)):
                start = int(rng.random() * n)
                part += ring[start : start + length]
            drawn += part[:n]
        found.append(statistic(drawn))
    found.sort()
    return found


def interval_of(replicates: Sequence[float], confidence: float) -> tuple[float, float]:
    """Percentile interval of sorted replicates."""
    tail = (1 - confidence) / 2
    n = len(replicates)
    low = min(max(math.floor(tail * n), 0), n - 1)
    return replicates[low], replicates[n - 1 - low]
