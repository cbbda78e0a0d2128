"""Results as a short JSON list: what a script wants, without the raw record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyback.spec.result import Result

__all__ = ["summarize"]

_LATENCY = ("p50", "p90", "p95", "p99", "p999", "max", "min", "mean")
_STREAM = ("margin_p50", "margin_mean", "margin_p99", "deadline_ns", "misses")


def summarize(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One mapping per cell, in cell order, all with the same keys.

    `latency_us` is in microseconds, unrounded; a figure that there are too few samples for is
    null, and a block that a cell does not have is null.
    """
    return [_summary(result) for result in sorted(results, key=lambda result: result.cell)]


def _summary(result: Result) -> dict[str, Any]:
    accuracy = result.accuracy
    return {
        "cell": result.cell,
        "status": result.status,
        "reason": result.reason,
        "workload": _named(result.workload),
        "params": dict(result.params),
        "backend": _named(result.backend),
        "dtype": result.dtype,
        "n": (result.latency_ns or {}).get("n"),
        "latency_us": _latency(result.latency_ns),
        "stream": None if result.stream is None else {k: result.stream.get(k) for k in _STREAM},
        "accuracy": None
        if accuracy is None
        else {key: accuracy.get(key) for key in ("metric", "value", "threshold", "passed")},
        "values": None if result.values is None else dict(result.values),
        "cost": None if result.cost is None else dict(result.cost),
    }


def _latency(figures: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    if figures is None:
        return None
    found = {name: figures.get(name) for name in _LATENCY}
    return {name: None if ns is None else ns / 1000 for name, ns in found.items()}


def _named(block: Mapping[str, Any]) -> str | None:
    return " ".join(str(block[key]) for key in ("name", "version") if block.get(key)) or None
