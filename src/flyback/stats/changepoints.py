"""Where the level of a history changed: e-divisive with a permutation test.

Splits the history where the energy distance between what comes before and after is greatest, keeps
the split if few random orders of the same values would split as well, and goes on in both parts
(D. S. Matteson & N. A. James, "A nonparametric approach for multiple change point analysis of
multivariate data", JASA 109, 2014).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["FEWEST", "change_points"]

FEWEST = 10
"""Runs that a history needs."""

_SEGMENT = 3  # values on each side of a change
_PERMUTATIONS = 199


def change_points(series: Sequence[float], level: float = 0.01, seed: int = 0) -> list[int]:
    """Indexes of the first value of each new level, ascending.

    Args:
        series: One figure per run, oldest first; logarithms of times compare ratios.
        level: Chance of a false change per split.
        seed: Of the permutations.
    """
    if len(series) < FEWEST:
        return []
    rng = random.Random(seed)  # noqa: S311  # permutations, not secrets
    found: list[int] = []
    parts = [(0, len(series))]
    while parts:
        start, end = parts.pop()
        split = _significant(list(series[start:end]), level, rng)
        if split is not None:
            found.append(start + split)
            parts += [(start, start + split), (start + split, end)]
    return sorted(found)


def _significant(values: list[float], level: float, rng: random.Random) -> int | None:
    if len(values) < 2 * _SEGMENT or min(values) == max(values):
        return None
    split, energy = _best(values)
    order = list(values)
    as_good = 0
    for _ in range(_PERMUTATIONS):
        rng.shuffle(order)
        as_good += _best(order)[1] >= energy
    return split if (as_good + 1) / (_PERMUTATIONS + 1) <= level else None


def _best(values: Sequence[float]) -> tuple[int, float]:
    """The split with the greatest scaled energy distance, in O(n²) by running sums."""
    n = len(values)
    # Sums of distances: within the left part, within the right part, between both.
    left = between = 0.0
    right = sum(abs(values[i] - values[j]) for i in range(n) for j in range(i))
    best, where = float("-inf"), _SEGMENT
    for m in range(1, n):
        moved = values[m - 1]
        to_left = sum(abs(moved - values[i]) for i in range(m - 1))
        to_right = sum(abs(moved - values[i]) for i in range(m, n))
        left += to_left
        right -= to_right
        between += to_right - to_left
        if m < _SEGMENT or n - m < _SEGMENT:
            continue
        k = n - m
        energy = 2 * between / (m * k) - 2 * left / (m * m) - 2 * right / (k * k)
        scaled = energy * m * k / n
        if scaled > best:
            best, where = scaled, m
    return where, best
