"""How much a sample resembles the one before it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["lag1_rank_correlation"]

_FEWEST = 3  # two pairs: with one, there is nothing to correlate


def lag1_rank_correlation(samples: Sequence[float]) -> float | None:
    """Spearman's correlation between each sample and the next.

    0 for independent samples, towards 1 where slow ones come in clusters: then bounds computed as
    if samples were independent are too narrow. Ranks, so that a single spike does not decide.

    Returns:
        A number in [-1, 1]; None with fewer than 3 samples or where all are equal.
    """
    if len(samples) < _FEWEST:
        return None
    before, after = _ranks(samples[:-1]), _ranks(samples[1:])
    mean = (len(before) + 1) / 2
    across = sum((a - mean) * (b - mean) for a, b in zip(before, after, strict=True))
    spread = sum((a - mean) ** 2 for a in before) * sum((b - mean) ** 2 for b in after)
    if spread == 0:
        return None
    return float(max(-1.0, min(1.0, across / spread**0.5)))


def _ranks(samples: Sequence[float]) -> list[float]:
    """Ranks from 1; equal samples share the mean of theirs."""
    order = sorted(range(len(samples)), key=samples.__getitem__)
    ranks = [0.0] * len(order)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or samples[order[end]] != samples[order[start]]:
            for position in order[start:end]:
                ranks[position] = (start + end + 1) / 2
            start = end
    return ranks
