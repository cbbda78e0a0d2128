"""Faster, slower, the same, or undecided: a ratio of two medians with its interval.

Everything is in logarithms, so that `A against B` and `B against A` say the same. The verdict needs
the whole interval: beyond the least effect for `faster` and `slower`, within it for `same`. An
interval that reaches across a border is `undecided`, never rounded to an answer.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, pstdev
from typing import Literal

from flyback.stats.bootstrap import RESAMPLES, interval_of, median, midmean, resampled
from flyback.stats.quantiles import CONFIDENCE

__all__ = ["LEAST_EFFECT", "Ratio", "Verdict", "judge", "paired", "unpaired"]

LEAST_EFFECT = 0.03
"""A change of less than 3 % is none: below it lie code layout, clocks and neighbours."""

_MOST = 1000  # values that are resampled; more samples are joined to medians of neighbours
Verdict = Literal["faster", "slower", "same", "undecided"]
_FEWEST = 8  # pairs; an interval of fewer says nothing
_SEVERAL = 3
_MOST_RESAMPLES = 4 * RESAMPLES  # 2 beyond each end at 99.9 %


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How long B takes, in units of A.

    Args:
        value: Ratio of medians; 1.05 is 5 % slower.
        low: Lower end of the interval.
        high: Upper end.
        p_changed: Probability of a change seen as large if the true one is not beyond the least
            effect (normal approximation to the bootstrap), times the looks.
        rounds: Pairs, or samples of the smaller side.
        restarts: Processes of each side that the pairs are from; 1 where there are no pairs.
        verdict: Of B against A.
        least_effect: Of the verdict.
        paired: Whether A and B were measured in turns.
    """

    value: float
    low: float
    high: float
    p_changed: float
    rounds: int
    restarts: int = 1
    verdict: Verdict
    least_effect: float = LEAST_EFFECT
    paired: bool = True


def judge(low: float, high: float, least_effect: float = LEAST_EFFECT) -> Verdict:
    """The verdict that an interval of the ratio supports."""
    border = math.log1p(least_effect)
    if math.log(low) > border:
        return "slower"
    if math.log(high) < -border:
        return "faster"
    if math.log(low) > -border and math.log(high) < border:
        return "same"
    return "undecided"


def paired(
    rounds: Mapping[int, Sequence[tuple[float, float]]],
    least_effect: float = LEAST_EFFECT,
    looks: int = 1,
) -> Ratio:
    """Compare two sides that were measured in turns.

    Args:
        rounds: Process restart → one (A, B) pair of medians for each layout in memory, in order.
        least_effect: See `judge`.
        looks: Times that one looks at most, of which this is one: the interval is at 1 - 0.01 /
            looks, so that all of them together hold with 99 % (Bonferroni).

    Raises:
        ValueError: there are no rounds.
    """
    series = [[math.log(b / a) for a, b in pairs] for pairs in rounds.values() if pairs]
    replicates = resampled(series, midmean, min(RESAMPLES * looks, _MOST_RESAMPLES))
    value = midmean([x for each in series for x in each])
    low, high = interval_of(replicates, 1 - (1 - CONFIDENCE) / looks)
    # One process alone may lie unluckily in memory: what leaving it out would change widens.
    if len(series) >= _SEVERAL:
        without = [
            midmean([x for j, each in enumerate(series) for x in each if j != i])
            for i in range(len(series))
        ]
        low, high = min(low, *without), max(high, *without)
    found = _ratio((value, low, high), replicates, sum(map(len, series)), least_effect, paired=True)
    chance = min(1.0, looks * found.p_changed)
    return dataclasses.replace(found, restarts=len(series), p_changed=chance)


def unpaired(
    before: Sequence[float],
    after: Sequence[float],
    control: tuple[Sequence[float], Sequence[float]] | None = None,
    least_effect: float = LEAST_EFFECT,
) -> Ratio:
    """Compare two sides that were measured at different times.

    Args:
        before: Samples of A, in order.
        after: Samples of B, in order.
        control: The calibration cell beside A and beside B: what changed there is the machine's.
        least_effect: See `judge`.

    Raises:
        ValueError: a side has no samples.
    """
    sides = [(after, 1), (before, -1)]
    if control is not None:
        sides += [(control[1], -1), (control[0], 1)]
    logs = [([math.log(max(x, 1)) for x in _thinned(samples)], sign) for samples, sign in sides]
    value = sum(sign * median(series) for series, sign in logs)
    drawn = [
        (_shuffled(resampled([series], seed=index), index), sign)
        for index, (series, sign) in enumerate(logs)
    ]
    replicates = sorted(sum(sign * one[i] for one, sign in drawn) for i in range(len(drawn[0][0])))
    low, high = interval_of(replicates, CONFIDENCE)
    count = min(len(before), len(after))
    return _ratio((value, low, high), replicates, count, least_effect, paired=False)


def _thinned(samples: Sequence[float]) -> Sequence[float]:
    """At most so many medians of neighbouring samples: every sample counts, resampling is quick."""
    size = -(-len(samples) // _MOST)
    if size <= 1:
        return samples
    return [median(samples[i : i + size]) for i in range(0, len(samples), size)]


def _shuffled(values: list[float], seed: int) -> list[float]:
    """Replicates in random order: sides are independent."""
    random.Random(seed + 1).shuffle(values)  # noqa: S311  # a resampling, not a secret
    return values


def _ratio(
    logs: tuple[float, float, float],
    replicates: Sequence[float],
    rounds: int,
    least_effect: float,
    *,
    paired: bool,
) -> Ratio:
    value, low, high = logs
    verdict: Verdict = "undecided"
    if rounds >= _FEWEST:
        verdict = judge(math.exp(low), math.exp(high), least_effect)
    return Ratio(
        value=math.exp(value),
        low=math.exp(low),
        high=math.exp(high),
        p_changed=_p_changed(value, replicates, least_effect),
        rounds=rounds,
        verdict=verdict,
        least_effect=least_effect,
        paired=paired,
    )


def _p_changed(value: float, replicates: Sequence[float], least_effect: float) -> float:
    spread = pstdev(replicates)
    beyond = abs(value) - math.log1p(least_effect)
    if spread == 0:
        return 0.0 if beyond > 0 else 1.0
    return NormalDist().cdf(-beyond / spread)
