"""Percentiles of integer nanoseconds, with bounds that assume no distribution.

A percentile is the nearest rank: the smallest sample that at least a share `p` of all samples does
not exceed. It is always a time that was really seen, and NumPy's method ``inverted_cdf`` gives the
same. Its bounds are order statistics too: the number of samples below the true quantile is
binomial(n, p) whatever the distribution, so two ranks enclose it with a known probability
(H. A. David & H. N. Nagaraja, *Order Statistics*, 3rd ed., section 7.1).

The bounds hold for independent samples. Latencies of a busy machine come in clusters, where true
bounds are wider; `flyback.stats.serial` says how clustered they were.

No sample is ever removed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

__all__ = [
    "CONFIDENCE",
    "MIN_SAMPLES",
    "PER_MILLE",
    "percentile",
    "rank",
    "rank_bounds",
    "summarize",
]

CONFIDENCE = 0.99
"""Probability that the bounds enclose the true quantile, at least."""

PER_MILLE: Mapping[str, int] = MappingProxyType(
    {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}
)
"""The percentiles that are reported, in thousandths: exact where a float is not."""

MIN_SAMPLES: Mapping[str, int] = MappingProxyType(
    {"p50": 30, "p90": 44, "p95": 90, "p99": 459, "p999": 4603}
)
"""Fewest samples for which a percentile is reported.

For the tail, the least n with ``1 - p**n - (1 - p)**n >= 0.99``: with fewer, not even the slowest
sample bounds the quantile from above with 99 % confidence. The same counts follow from the early
stopping rule of MLPerf Inference's LoadGen (binomial bound at 99 %). The median's 30 is a
convention; its bounds exist from 8 on.
"""


_SPIKE = 3  # deviations


def rank(n: int, per_mille: int) -> int:
    """Nearest rank of a percentile among `n` sorted samples, counting from 1."""
    return max(1, -(-n * per_mille // 1000))


def percentile(ordered: Sequence[int], per_mille: int) -> int:
    """Nearest-rank percentile of sorted samples.

    Raises:
        ValueError: there are no samples.
    """
    if not ordered:
        raise ValueError("no samples, no percentile")
    return ordered[rank(len(ordered), per_mille) - 1]


def rank_bounds(n: int, per_mille: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 1) whose samples enclose the true quantile with at least that confidence.

    The fewest neighbouring ranks that suffice. The choice depends on `n` alone, never on the
    samples, so the stated confidence is exact for continuous distributions and conservative where
    samples tie.

    Returns:
        (low, high), or None where even the least and the greatest sample do not suffice.
    """
    if n <= 1:
        return None
    p = per_mille / 1000
    # x[low] <= quantile <= x[high] exactly when low <= B <= high - 1, with B samples below it.
    mode = min(max(math.floor((n + 1) * p), 1), n - 1)
    odds = p / (1 - p)
    low = high = mode
    low_mass = high_mass = total = _binomial(n, mode, p)
    below = low_mass * low / ((n - low + 1) * odds)
    above = high_mass * (n - high) / (high + 1) * odds
    while total < confidence:
        if low > 1 and (below >= above or high == n - 1):
            low, low_mass = low - 1, below
            total += low_mass
            below = low_mass * low / ((n - low + 1) * odds)
        elif high < n - 1:
            high, high_mass = high + 1, above
            total += high_mass
            above = high_mass * (n - high) / (high + 1) * odds
        else:
            return None
    return low, high + 1


def summarize(samples: Iterable[int]) -> dict[str, int | float | list[int] | None]:
    """The record's `latency_ns`, from every sample.

    Args:
        samples: Nanoseconds, whole numbers, in any order.

    Returns:
        `n`, `min`, `max`, `mean` (rounded to the nanosecond) and for each of `PER_MILLE` its value
        and `<name>_ci`, [low, high] at `CONFIDENCE`; None where there are fewer than `MIN_SAMPLES`.
        `mad` is the median absolute deviation, `spike_rate` the share of samples more than three
        of those above the median: outliers are counted, not removed.

    Raises:
        TypeError: a sample is not a whole number.
    """
    ordered = sorted(map(operator.index, samples))
    n = len(ordered)
    figures: dict[str, int | float | list[int] | None] = {
        "n": n,
        "min": ordered[0] if n else None,
        "max": ordered[-1] if n else None,
        "mean": (2 * sum(ordered) + n) // (2 * n) if n else None,
    }
    for name, per_mille in PER_MILLE.items():
        bounds = rank_bounds(n, per_mille) if n >= MIN_SAMPLES[name] else None
        figures[name] = percentile(ordered, per_mille) if bounds else None
        figures[f"{name}_ci"] = [ordered[i - 1] for i in bounds] if bounds else None
    return figures | _spread(ordered)


def _spread(ordered: Sequence[int]) -> dict[str, int | float | None]:
    """Median absolute deviation, and the share of samples over 3 of them above the median."""
    if not ordered:
        return {"mad": None, "spike_rate": None}
    middle = percentile(ordered, PER_MILLE["p50"])
    mad = percentile(sorted(abs(value - middle) for value in ordered), PER_MILLE["p50"])
    spikes = sum(1 for value in ordered if value > middle + _SPIKE * mad)
    return {"mad": mad, "spike_rate": round(spikes / len(ordered), 6)}


def _binomial(n: int, k: int, p: float) -> float:
    """Probability of `k` among `n`; by logarithms, since n reaches millions."""
    choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(choose + k * math.log(p) + (n - k) * math.log1p(-p))
