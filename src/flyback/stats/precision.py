"""How well a median is known: the stop rule of the runner."""

from __future__ import annotations

from collections.abc import Sequence

from flyback.stats.quantiles import CONFIDENCE, percentile, rank_bounds

__all__ = ["RELATIVE", "is_precise", "median_interval", "relative_half_width"]

RELATIVE = 0.01
"""A median is known well enough when half the width of its interval is 1 % of it."""

_P50 = 500


def median_interval(
    samples: Sequence[int], confidence: float = CONFIDENCE
) -> tuple[int, int] | None:
    """Two of the samples that enclose the true median with at least that confidence.

    Order statistics, so no distribution is assumed. None with too few samples (7 at 99 %).
    """
    ordered = sorted(samples)
    bounds = rank_bounds(len(ordered), _P50, confidence)
    return None if bounds is None else (ordered[bounds[0] - 1], ordered[bounds[1] - 1])


def relative_half_width(samples: Sequence[int]) -> float | None:
    """Half the width of the median's interval, over the median; None with too few samples."""
    found = median_interval(samples)
    if found is None:
        return None
    middle = percentile(sorted(samples), _P50)
    return (found[1] - found[0]) / 2 / middle if middle else None


def is_precise(samples: Sequence[int], relative: float = RELATIVE) -> bool:
    """Whether the median is known to that share of itself."""
    width = relative_half_width(samples)
    return width is not None and width <= relative
