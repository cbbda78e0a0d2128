"""A result as a table for people."""

from __future__ import annotations

from typing import Any

from flyback.spec.result import Result
from flyback.stats.quantiles import MIN_SAMPLES, PER_MILLE

__all__ = ["render"]

_CLUSTERED = 0.2
_LABELS = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p999": "p99.9"}


def render(result: Result) -> list[str]:
    """Lines of the table; a figure that too few samples support says how many it takes."""
    head = f"{result.workload['name']} · {result.status}"
    if result.values is not None:
        rows = [_row(name, "", str(value)) for name, value in result.values.items()]
        return [head, *_accuracy(result), *rows]
    if result.latency_ns is None:
        return [head, *_accuracy(result), f"  {result.reason}"]
    return [
        head,
        *_accuracy(result),
        *_latency(result.latency_ns),
        *_clusters(result),
        *(_stream(result.stream) if result.stream else ()),
        *_rate(result),
        *_samples(result),
    ]


def _row(label: str, value: str, note: str = "") -> str:
    return f"  {label:<10}{value:>14}  {note}".rstrip()


def _accuracy(result: Result) -> list[str]:
    if result.accuracy is None:
        return []
    a = result.accuracy
    note = f"least of {a['n_checked']} results, {a['worst']}; at least {a['threshold']:g} dB"
    return [_row("accuracy", f"{a['value']:.1f} dB", f"against {a['reference']}; {note}")]


def _latency(figures: Any) -> list[str]:
    rows = []
    for name in PER_MILLE:
        if figures[name] is None:
            note = f"{figures['n']} samples; it takes {MIN_SAMPLES[name]}"
            rows.append(_row(_LABELS[name], "-", note))
        else:
            low, high = figures[f"{name}_ci"]
            note = f"[{_micro(low)}, {_micro(high)}] with 99 % confidence"
            rows.append(_row(_LABELS[name], f"{_micro(figures[name])} us", note))
    for name in ("max", "mean", "min"):
        note = f"of {figures['n']} samples, none removed" if name == "max" else ""
        rows.append(_row(name, f"{_micro(figures[name])} us", note))
    return rows


def _clusters(result: Result) -> list[str]:
    correlation = result.method.get("lag1_rank_correlation")
    if correlation is None or correlation < _CLUSTERED:
        return []
    note = "lag-1 rank correlation: slow samples cluster, true bounds are wider"
    return [_row("", f"{correlation:.2f}", note)]


def _stream(stream: Any) -> list[str]:
    what = (
        f"{stream['channels']} channels at {stream['fs_hz']:g} Hz, "
        f"nfft {stream['nfft']}, hop {stream['hop']}"
    )
    rows = [_row("real time", f"{stream['margin_mean'] or 0:.1f} x", f"on average; {what}")]
    for name in ("margin_p50", "margin_p99"):
        if stream[name] is not None:
            label = name.removeprefix("margin_")
            rows.append(_row("", f"{stream[name]:.1f} x", f"at the {label} latency"))
    deadline = _micro(stream["deadline_ns"])
    rows.append(
        _row("misses", str(stream["misses"]), f"of {stream['frames']} frames; due in {deadline} us")
    )
    return rows


def _rate(result: Result) -> list[str]:
    if result.rate is None or result.work is None:
        return []
    gflops = result.rate["flop_s"] / 1e9
    return [
        _row("rate", f"{result.rate['items_s']:.0f} /s", f"{result.work['item_unit']}s"),
        _row("", f"{gflops:.2f}", "GFLOP/s"),
    ]


def _samples(result: Result) -> list[str]:
    if result.samples is None:
        return []
    return [_row("samples", str(result.samples["n"]), f"in {result.samples['file']}")]


def _micro(nanoseconds: int) -> str:
    return f"{nanoseconds / 1000:.1f}"
