"""From which size on the other device wins: in latency, in throughput, in dollars.

Two sides, which differ in one parameter (`device=cpu,cuda`, say). Nothing is said where the two did
not compute the same: rows need equal parameters but for that one, and both gates passed. How far
two results can lie apart follows from how far each lies from the same reference.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyback.results.compare import Measured, mean_ratio_of, ratio_of
from flyback.spec.result import Result

__all__ = ["Between", "Crossover", "Pair", "crossovers", "pairs"]


@dataclass(frozen=True, kw_only=True)
class Between:
    """The two sides.

    Args:
        parameter: In which they differ.
        a: Its value on one side.
        b: On the other, of which it is asked where it wins.
        a_usd_hour: Price of a machine that has A; None where it is not known.
        b_usd_hour: Of one that has B.
    """

    parameter: str = "device"
    a: Any = "cpu"
    b: Any = "cuda"
    a_usd_hour: float | None = None
    b_usd_hour: float | None = None

    def name(self, side: str) -> str:
        """What people read."""
        return f"{self.parameter}={self.a if side == 'a' else self.b}"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One size on both sides; every ratio is turned so that above 1 B wins.

    Args:
        params: What both share.
        a_p50_ns: Median latency of A; None where its row is missing or failed.
        b_p50_ns: Of B.
        latency: Ratio of the latencies; None where a row is missing or failed.
        interval: Of `latency`, at 99 %: from pairs of rounds where both were measured in turns,
            else from the bounds of both medians.
        throughput: Ratio of the rates; where both were measured in turns, the middle of those of
            pairs of rounds, so that one slow call on one side decides nothing.
        throughput_interval: Of `throughput`, at 99 %; None where they were not.
        dollars: Ratio of the costs per item; None where a price is missing.
        a_usd: Cost of one item on A.
        b_usd: On B.
        item: What one item is called.
        agreement_db: The two results differ at most by so much, as a signal-to-noise ratio, dB.
        reason: Why there are no ratios.
    """

    params: Mapping[str, Any]
    a_p50_ns: int | None = None
    b_p50_ns: int | None = None
    latency: float | None = None
    interval: tuple[float, float] | None = None
    throughput: float | None = None
    throughput_interval: tuple[float, float] | None = None
    dollars: float | None = None
    a_usd: float | None = None
    b_usd: float | None = None
    item: str = ""
    agreement_db: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Along one parameter, with the others fixed.

    Args:
        along: The parameter that grows.
        fixed: The other parameters that vary.
        metric: `latency`, `throughput` or `dollars`; each by the lower end of its interval, where
            it has one.
        at: Least value from which on B wins at every larger one too; None: it never does.
        upto: The largest value that was measured on both sides.
    """

    along: str
    fixed: Mapping[str, Any]
    metric: str
    at: Any
    upto: Any


def pairs(measured: Measured, between: Between) -> list[Pair]:
    """Rows of equal parameters, A beside B; a missing or failed side is a pair with a reason.

    Args:
        measured: Rows of both sides of one workload, and where their samples lie.
        between: The sides.

    Raises:
        UserError: samples are missing or damaged.
    """
    sides = {json.dumps(between.a): "a", json.dumps(between.b): "b"}
    groups: dict[str, dict[str, Result]] = {}
    for row in measured.results:
        side = sides.get(json.dumps(row.params.get(between.parameter)))
        if side is not None:
            shared = {k: value for k, value in row.params.items() if k != between.parameter}
            groups.setdefault(json.dumps(shared), {})[side] = row
    return [_pair(json.loads(key), rows, measured, between) for key, rows in groups.items()]


def _pair(
    params: Mapping[str, Any], rows: Mapping[str, Result], measured: Measured, between: Between
) -> Pair:
    p50s = {side: (row.latency_ns or {}).get("p50") for side, row in rows.items()}
    pair = Pair(params=params, a_p50_ns=p50s.get("a"), b_p50_ns=p50s.get("b"))
    for side in ("a", "b"):
        row = rows.get(side)
        if row is None:
            return dataclasses.replace(pair, reason=f"no row for {between.name(side)}")
        if row.status != "ok" or not p50s[side]:
            why = f"{between.name(side)}: {row.status}: {row.reason}"
            return dataclasses.replace(pair, reason=why)
    a, b = rows["a"], rows["b"]
    rates = [float((row.rate or {}).get("items_s") or 0) for row in (a, b)]
    prices = (between.a_usd_hour, between.b_usd_hour)
    usd = [
        None if price is None or not rate else price / 3600 / rate
        for price, rate in zip(prices, rates, strict=True)
    ]
    latency, interval = _latency(measured, a, b)
    throughput, bounds = _throughput(measured, a, b, rates)
    dear = prices[0] / prices[1] if prices[0] is not None and prices[1] else None
    return dataclasses.replace(
        pair,
        latency=latency,
        interval=interval,
        throughput=throughput,
        throughput_interval=bounds,
        dollars=throughput * dear if throughput and dear is not None else None,
        a_usd=usd[0],
        b_usd=usd[1],
        item=str((a.work or {}).get("item_unit", "")),
        agreement_db=_agreement(a, b),
    )


def _latency(measured: Measured, a: Result, b: Result) -> tuple[float, tuple[float, float] | None]:
    one, other = measured.samples(a), measured.samples(b)
    if one and other and _in_turns(a, b):
        ratio, _ = ratio_of(other, one, in_turns=True)  # so that above 1 it is A that takes longer
        return ratio.value, (ratio.low, ratio.high)
    figures = a.latency_ns or {}, b.latency_ns or {}
    bounds = [each.get("p50_ci") for each in figures]
    interval = None
    if bounds[0] and bounds[1]:
        interval = (bounds[0][0] / max(bounds[1][1], 1), bounds[0][1] / max(bounds[1][0], 1))
    return figures[0]["p50"] / figures[1]["p50"], interval


def _throughput(
    measured: Measured, a: Result, b: Result, rates: Sequence[float]
) -> tuple[float | None, tuple[float, float] | None]:
    if not all(rates):
        return None, None
    one, other = measured.samples(a), measured.samples(b)
    items = [float((row.work or {}).get("items") or 0) for row in (a, b)]
    if one and other and all(items) and _in_turns(a, b):
        ratio = mean_ratio_of(other, one)  # so that above 1 it is A that takes longer
        more = items[1] / items[0]
        return more * ratio.value, (more * ratio.low, more * ratio.high)
    return rates[1] / rates[0], None


def _in_turns(a: Result, b: Result) -> bool:
    session = a.method.get("session")
    return session is not None and session == b.method.get("session")


def _agreement(a: Result, b: Result) -> float | None:
    """Errors add at most: each side was held against one reference, on the same inputs."""
    values = [(row.accuracy or {}).get("value") for row in (a, b)]
    if any(value is None for value in values):
        return None
    return -20 * math.log10(sum(10 ** (-float(value or 0) / 20) for value in values))


def crossovers(found: Sequence[Pair], along: str) -> list[Crossover]:
    """Where each metric begins to favour B for good.

    Args:
        found: From `pairs`.
        along: The parameter that grows.
    """
    varying = [
        name
        for name in dict.fromkeys(name for pair in found for name in pair.params)
        if name != along and len({json.dumps(pair.params.get(name)) for pair in found}) > 1
    ]
    groups: dict[str, list[Pair]] = {}
    for pair in found:
        if along in pair.params:
            fixed = {name: pair.params.get(name) for name in varying}
            groups.setdefault(json.dumps(fixed), []).append(pair)
    answers = []
    for key, members in groups.items():
        ordered = sorted(members, key=lambda pair: pair.params[along])
        for metric in ("latency", "throughput", "dollars"):
            values = [(pair.params[along], _least(pair, metric)) for pair in ordered]
            known = [(value, ratio) for value, ratio in values if ratio is not None]
            if known:
                answers.append(
                    Crossover(
                        along=along,
                        fixed=json.loads(key),
                        metric=metric,
                        at=_from_where(known),
                        upto=known[-1][0],
                    )
                )
    return answers


def _least(pair: Pair, metric: str) -> float | None:
    ratio: float | None = getattr(pair, metric)
    if metric == "latency" and pair.interval is not None:
        return pair.interval[0]
    if ratio and pair.throughput and pair.throughput_interval is not None:
        return ratio * pair.throughput_interval[0] / pair.throughput
    return ratio


def _from_where(known: Sequence[tuple[Any, float]]) -> Any:
    at = None
    for value, ratio in reversed(known):
        if ratio <= 1:
            break
        at = value
    return at
