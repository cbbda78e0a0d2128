"""The record of a cell: one `Result`, from what was measured."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from flyback.spec.codec import encode
from flyback.spec.result import Result
from flyback.stats.quantiles import CONFIDENCE, percentile, summarize
from flyback.stats.serial import lag1_rank_correlation
from flyback.stats.stationarity import drift
from flyback.workloads.cell import Cell
from flyback.workloads.control import CONTROL_VERSION
from flyback.workloads.environment import cpu_model, describe_environment, source_sha256
from flyback.workloads.fingerprint import fingerprint
from flyback.workloads.roofline import roofline, suspicion
from flyback.workloads.samples import save
from flyback.workloads.timing import SETTLE, Timing, timer_overhead_ns
from flyback.workloads.workload import Stream, Work

__all__ = ["complete", "draft", "given", "refused", "streamed"]

_CLOSED = "closed loop: the next call starts when the last one has ended"
_OPEN = "open loop: each call is due at a fixed time, and its latency counts from then"
_CORRELATED_MOST = 50_000  # ranks of more samples cost more than they tell


def draft(cell: Cell) -> Result:
    """What is known before anything is measured."""
    now = dt.datetime.fromtimestamp(cell.setting.clock.now(), dt.UTC)
    declaration, prepared = cell.declaration, cell.prepared
    env = describe_environment()
    backend = dict(prepared.backend)
    device = dict(prepared.device or {"kind": "cpu", "name": cpu_model()})
    return Result(
        id=uuid.uuid4().hex,
        ts_utc=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        workload={
            "name": declaration.name,
            "version": declaration.version,
            "source_sha256": source_sha256(declaration.implementation.partition(":")[0]),
        },
        params=encode(cell.parameters),
        backend=backend,
        dtype=prepared.dtype,
        device=device,
        env=env,
        fingerprint=fingerprint(env, device),
    )


def refused(result: Result, cell: Cell) -> Result:
    """A row without figures: the gate has failed."""
    return dataclasses.replace(
        result, status="invalid", reason=cell.failure, accuracy=cell.gate.record()
    )


def given(result: Result, cell: Cell, values: Mapping[str, Any]) -> Result:
    """The row of one pass over an input: what it gave, and no times."""
    return dataclasses.replace(result, accuracy=cell.gate.record(), values=dict(values))


def complete(result: Result, cell: Cell, extra: dict[str, Any] | None = None) -> Result:
    """The row of a cell that passed both gates.

    Args:
        result: From `draft`.
        cell: After its last block.
        extra: What else `method` holds.
    """
    prepared, timing, setting = cell.prepared, cell.timing, cell.setting
    work = cell.workload.work()
    samples = None
    if setting.samples_dir is not None:
        identity = {"params": result.params, "backend": result.backend}
        samples = save(setting.samples_dir, result.workload["name"], identity, timing)
    latency = summarize(timing.latencies)
    p50 = latency["p50"]
    assert p50 is None or isinstance(p50, int)  # noqa: S101  # for mypy: percentiles are whole
    ceilings = setting.ceilings(result.device["kind"]) if setting.ceilings else None
    limit = roofline(work, prepared.dtype, p50, ceilings)
    reason = suspicion(limit["efficiency"]) if limit is not None else ""
    return dataclasses.replace(
        result,
        status="suspect" if reason else "ok",
        reason=reason,
        accuracy=cell.gate.record(),
        latency_ns=latency,
        device_ns=_device(timing),
        cold_first_s=round(cell.cold["first_s"], 6),
        samples=samples,
        method={**_method(cell), **prepared.method, **(extra or {})},
        stream=_stream(prepared.stream, work, timing, latency) if prepared.stream else None,
        work=encode(work),
        rate=_rate(work, timing),
        roofline=limit,
        health=cell.watch.finish(timing.wall_ns, timing.cpu_ns),
        values=dict(cell.workload.metrics()) or None,
    )


def _device(timing: Timing) -> dict[str, Any] | None:
    if timing.device is None or not timing.device_ns:
        return None
    return {"clock": timing.device.name, **summarize(timing.device_ns)}


def _method(cell: Cell) -> dict[str, Any]:
    timing, setting, prepared = cell.timing, cell.setting, cell.prepared
    correlation = lag1_rank_correlation(timing.latencies[:_CORRELATED_MOST])
    drifted = drift(timing.latencies)
    return {
        "clock": getattr(setting.timer, "__name__", type(setting.timer).__name__),
        "timer_overhead_ns": timer_overhead_ns(setting.timer),
        "latency": "from the start of the call to each result in host memory",
        "schedule": _CLOSED if prepared.period_ns is None else _OPEN,
        "period_ns": prepared.period_ns,
        "warmup_n": max(timing.warmed, prepared.warmup),
        "warmup_settled": timing.settled,
        "inner": timing.inner,
        "stop_reason": cell.stop_reason,
        "blocks": len(timing.starts),
        "control": _control(timing),
        "settle_n": SETTLE,
        "cache": "not flushed between calls",
        "gc": "disabled",
        "cold": {name: round(value, 6) for name, value in cell.cold.items()},
        "percentile": "nearest rank (inverted_cdf)",
        "confidence": CONFIDENCE,
        "bounds": "order statistics, for independent samples",
        "lag1_rank_correlation": None if correlation is None else round(correlation, 4),
        "drift": None if drifted is None else round(drifted, 4),
        "outliers_removed": 0,
        "wall_ns": timing.wall_ns,
        "cpu_ns": timing.cpu_ns,
    }


def _control(timing: Timing) -> dict[str, Any] | None:
    if not timing.control_ns:
        return None
    ordered = sorted(timing.control_ns)
    return {"version": CONTROL_VERSION, "n": len(ordered), "p50_ns": percentile(ordered, 500)}


def _stream(stream: Stream, work: Work, timing: Timing, latency: dict[str, Any]) -> dict[str, Any]:
    described = {**encode(stream), "backlog_max": timing.backlog_max}
    return streamed(described, work.items, timing.latencies, latency, timing.wall_ns)


def streamed(
    stream: Mapping[str, Any],
    items: int,
    latencies: Sequence[int],
    latency: Mapping[str, Any],
    wall_ns: int,
) -> dict[str, Any]:
    """Real-time margin = signal time consumed / wall time; above 1 keeps up.

    The mean is over the whole of the timed blocks. `margin_p99` is the margin at the p99 latency:
    99 % of samples have at least that much.

    Args:
        stream: Fields of `Stream`, and `backlog_max`.
        items: Frames of one sample.
        latencies: All of them, ns.
        latency: Their percentiles, ns.
        wall_ns: Of the timed blocks.
    """
    # Exact until the last division: a margin is a quotient that people quote.
    each_ns = Fraction(items * stream["hop"] * 10**9) / Fraction(stream["fs_hz"])
    signal_ns = each_ns * len(latencies)

    def margin(span_ns: int | None) -> float | None:
        return float(each_ns / span_ns) if span_ns else None

    return {
        **stream,
        "frames": items * len(latencies),
        "frames_per_sample": items,
        "signal_ns": round(signal_ns),
        "misses": sum(1 for value in latencies if value > stream["deadline_ns"]),
        "margin_mean": float(signal_ns / wall_ns) if wall_ns else None,
        "margin_p50": margin(latency["p50"]),
        "margin_p99": margin(latency["p99"]),
    }


def _rate(work: Work, timing: Timing) -> dict[str, float] | None:
    """Throughput over the timed blocks, per second of wall time."""
    if not timing.wall_ns:
        return None
    per_second = len(timing.latencies) * timing.inner * 1e9 / timing.wall_ns
    return {
        "items_s": work.items * per_second,
        "flop_s": work.flops * per_second,
        "bytes_s": work.bytes * per_second,
    }
