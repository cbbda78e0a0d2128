"""Whether a series has settled: the end of warm-up, and drift that was left in."""

from __future__ import annotations

from collections.abc import Sequence

from flyback.stats.bootstrap import median

__all__ = ["TOLERANCE", "drift", "is_settled", "settled_after"]

TOLERANCE = 0.01
"""Medians of two neighbouring windows that differ by less are of one level."""

_WINDOWS = 3
_FEWEST = 4


def is_settled(series: Sequence[float], window: int, tolerance: float = TOLERANCE) -> bool:
    """Whether the last two windows have one level.

    Args:
        series: In the order that it was measured.
        window: Values per window.
        tolerance: Relative difference of the two medians.
    """
    if window < 1 or len(series) < 2 * window:
        return False
    before = median(series[-2 * window : -window])
    after = median(series[-window:])
    return abs(after - before) <= tolerance * min(before, after)


def settled_after(series: Sequence[float], window: int, tolerance: float = TOLERANCE) -> int | None:
    """How many values came before the first two windows of one level; None if there are none."""
    for start in range(0, len(series) - 2 * window + 1, window):
        if is_settled(series[: start + 2 * window], window, tolerance):
            return start
    return None


def drift(series: Sequence[float]) -> float | None:
    """Relative change of the median from the first third of a series to its last.

    Returns:
        0.02 where the last third is 2 % above the first; None with too few values.
    """
    third = len(series) // _WINDOWS
    if third < _FEWEST:
        return None
    first = median(series[:third])
    return median(series[-third:]) / first - 1 if first else None
