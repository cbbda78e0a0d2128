"""From which size on the other device wins: in latency, in throughput, in dollars.

Nothing is said where the two did not compute the same: rows need equal parameters but for the
device, and both gates passed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyback.spec.result import Result

__all__ = ["Crossover", "Pair", "crossovers", "pairs"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One size on both devices; every ratio is CPU over GPU, so above 1 the GPU wins.

    Args:
        params: What both share.
        latency: Ratio of the median latencies; None where a row is missing or failed.
        interval: From the bounds of both medians, each at 99 %.
        throughput: Ratio of the rates, turned so that above 1 the GPU does more.
        dollars: Ratio of the costs per item; None where a price is missing.
        reason: Why there are no ratios.
    """

    params: Mapping[str, Any]
    latency: float | None = None
    interval: tuple[float, float] | None = None
    throughput: float | None = None
    dollars: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Along one parameter, with the others fixed.

    Args:
        fixed: The other parameters that vary.
        metric: `latency`, `throughput` or `dollars`.
        at: Least value from which on the GPU wins at every larger one too; None: it never does.
    """

    fixed: Mapping[str, Any]
    metric: str
    at: Any


def pairs(
    results: Sequence[Result], cpu_usd_hour: float | None = None, gpu_usd_hour: float | None = None
) -> list[Pair]:
    """Rows of equal parameters, CPU beside GPU; a missing or failed side is a pair with a reason.

    Args:
        results: Rows of both devices.
        cpu_usd_hour: Price of the machine without GPU.
        gpu_usd_hour: Price of the machine with one.
    """
    groups: dict[str, dict[str, Result]] = {}
    for row in results:
        shared = {name: value for name, value in row.params.items() if name != "device"}
        kind = "cpu" if row.params.get("device", "cpu") == "cpu" else "gpu"
        groups.setdefault(json.dumps([row.workload.get("name"), shared]), {})[kind] = row
    prices = (cpu_usd_hour, gpu_usd_hour)
    return [_pair(json.loads(key)[1], sides, prices) for key, sides in groups.items()]


def _pair(
    params: Mapping[str, Any],
    sides: Mapping[str, Result],
    prices: tuple[float | None, float | None],
) -> Pair:
    for kind in ("cpu", "gpu"):
        row = sides.get(kind)
        if row is None:
            return Pair(params=params, reason=f"no row on the {kind.upper()}")
        if row.status != "ok" or not (row.latency_ns or {}).get("p50"):
            return Pair(params=params, reason=f"{kind.upper()}: {row.status}: {row.reason}")
    cpu, gpu = sides["cpu"].latency_ns or {}, sides["gpu"].latency_ns or {}
    interval = None
    if cpu.get("p50_ci") and gpu.get("p50_ci"):
        interval = (
            cpu["p50_ci"][0] / max(gpu["p50_ci"][1], 1),
            cpu["p50_ci"][1] / max(gpu["p50_ci"][0], 1),
        )
    rates = [float((sides[kind].rate or {}).get("items_s") or 0) for kind in ("cpu", "gpu")]
    throughput = rates[1] / rates[0] if rates[0] and rates[1] else None
    dollars = None
    if throughput is not None and prices[0] is not None and prices[1]:
        dollars = throughput * prices[0] / prices[1]
    return Pair(
        params=params,
        latency=cpu["p50"] / gpu["p50"],
        interval=interval,
        throughput=throughput,
        dollars=dollars,
    )


def crossovers(found: Sequence[Pair], along: str) -> list[Crossover]:
    """Where each metric begins to favour the GPU for good.

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
            values = [(pair.params[along], getattr(pair, metric)) for pair in ordered]
            known = [(value, ratio) for value, ratio in values if ratio is not None]
            if known:
                at = _from_where(known)
                answers.append(Crossover(fixed=json.loads(key), metric=metric, at=at))
    return answers


def _from_where(known: Sequence[tuple[Any, float]]) -> Any:
    at = None
    for value, ratio in reversed(known):
        if ratio <= 1:
            break
        at = value
    return at
