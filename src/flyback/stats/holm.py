"""Many comparisons at once: the chance of a single false alarm among all of them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["adjusted"]


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: reject where the adjusted value is below the level.

    Keeps the probability of any false rejection below the level whatever the dependence between
    the tests (S. Holm, "A simple sequentially rejective multiple test procedure", 1979).
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found = [0.0] * len(p_values)
    highest = 0.0
    for position, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - position) * p_values[index]))
        found[index] = highest
    return found
