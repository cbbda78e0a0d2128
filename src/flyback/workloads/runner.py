"""One cell from parameters to its result line: gate, warm-up, timing, statistics, record."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from flyback.spec.clock import Clock, SystemClock
from flyback.spec.codec import encode
from flyback.spec.result import Result
from flyback.stats.quantiles import CONFIDENCE, summarize
from flyback.stats.serial import lag1_rank_correlation
from flyback.workloads.accuracy import Gate
from flyback.workloads.declaration import Declaration
from flyback.workloads.environment import cpu_model, describe_environment, source_sha256
from flyback.workloads.parameters import Parameters
from flyback.workloads.samples import save
from flyback.workloads.stopping import Stop
from flyback.workloads.timing import BLOCKS, SETTLE, Timer, Timing, timer_overhead_ns
from flyback.workloads.workload import Comparison, Journey, Prepared, Stream, Work, Workload

__all__ = ["Setting", "measure"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What surrounds a measurement.

    Args:
        samples_dir: Folder for raw samples; None keeps none.
        checkpoint_dir: Folder where a pass over an input keeps its place; None keeps none.
        timer: Clock of the latencies, ns.
        clock: Time of day.
        stop: Whether to end early.
        report: Told each step, one line at a time.
    """

    samples_dir: Path | None = None
    checkpoint_dir: Path | None = None
    timer: Timer = time.perf_counter_ns
    clock: Clock = field(default_factory=SystemClock)
    stop: Stop = field(default_factory=Stop)
    report: Callable[[str], None] = lambda _: None


def measure(
    declaration: Declaration, workload: Workload[Any], parameters: Parameters, setting: Setting
) -> Result:
    """Measure one cell.

    Nothing is timed unless every comparison of the gate passes; a result that fails it, before or
    after, has status `invalid` and no figures.

    Raises:
        UserError: an input is missing or unusable.
        InterruptedRunError: SIGTERM came.
    """
    prepared = workload.setup(parameters)
    result = _begin(declaration, parameters, prepared, setting)
    backend = f"{prepared.backend['name']} {prepared.backend['version']}"
    setting.report(
        f"{declaration.name} {declaration.version}: {backend}, {prepared.dtype}, "
        f"{prepared.samples} samples"
    )
    gate = _pass_gate(workload, prepared, setting)
    if not gate.passes():
        return _fail(result, gate, "the correctness gate")
    journey = Journey(folder=setting.checkpoint_dir, stop=setting.stop, report=setting.report)
    given = workload.whole(journey)
    if given is not None:
        return dataclasses.replace(result, accuracy=gate.record(), values=given)
    work = workload.work()
    timing = _time(workload, prepared, setting)
    gate.add(
        Comparison(
            label="last timed result",
            kind="result",
            actual=timing.last,
            expected=workload.reference(),
        )
    )
    if not gate.passes():
        return _fail(result, gate, "the check after timing")
    return _complete(result, prepared, work, timing, gate, setting)


def _begin(
    declaration: Declaration, parameters: Parameters, prepared: Prepared, setting: Setting
) -> Result:
    now = dt.datetime.fromtimestamp(setting.clock.now(), dt.UTC)
    return Result(
        ts_utc=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        workload={
            "name": declaration.name,
            "version": declaration.version,
            "source_sha256": source_sha256(declaration.implementation.partition(":")[0]),
        },
        params=encode(parameters),
        backend=dict(prepared.backend),
        dtype=prepared.dtype,
        device={"kind": "cpu", "name": cpu_model()},
        env=describe_environment(),
    )


def _pass_gate(workload: Workload[Any], prepared: Prepared, setting: Setting) -> Gate:
    gate = Gate(prepared.snr_floor_db, prepared.reference)
    for comparison in workload.gate():
        setting.stop.check("checking correctness")
        value = gate.add(comparison)
        verdict = "passed" if value >= prepared.snr_floor_db else "FAILED"
        setting.report(
            f"gate: {comparison.label} {comparison.kind}: {value:.1f} dB against "
            f"{prepared.reference}, at least {prepared.snr_floor_db:g}: {verdict}"
        )
    return gate


def _fail(result: Result, gate: Gate, stage: str) -> Result:
    value, worst = gate.worst
    return dataclasses.replace(
        result,
        status="invalid",
        reason=f"{stage} failed: {worst} reaches {value:.1f} dB, {gate.floor_db:g} dB is needed",
        accuracy=gate.record(),
    )


def _time(workload: Workload[Any], prepared: Prepared, setting: Setting) -> Timing:
    timing = Timing(setting.timer, setting.stop)
    setting.report(f"warm-up: {prepared.warmup} samples")
    timing.warm(workload.run, prepared.warmup, "warming up")
    for number in range(BLOCKS):
        due = prepared.samples * (number + 1) // BLOCKS - len(timing.latencies)
        if due <= 0:  # fewer samples than blocks
            continue
        timing.block(workload.run, due)
        setting.report(f"timing: {len(timing.latencies)} of {prepared.samples} samples")
    return timing


def _complete(
    result: Result,
    prepared: Prepared,
    work: Work,
    timing: Timing,
    gate: Gate,
    setting: Setting,
) -> Result:
    samples = None
    if setting.samples_dir is not None:
        identity = {"params": result.params, "backend": result.backend}
        name = result.workload["name"]
        samples = save(setting.samples_dir, name, identity, timing)
    latency = summarize(timing.latencies)
    return dataclasses.replace(
        result,
        accuracy=gate.record(),
        latency_ns=latency,
        samples=samples,
        method={**_method(prepared, timing, setting), **prepared.method},
        stream=_stream(prepared.stream, work, timing, latency) if prepared.stream else None,
        work=encode(work),
        rate=_rate(work, timing),
    )


def _method(prepared: Prepared, timing: Timing, setting: Setting) -> dict[str, Any]:
    clock = getattr(setting.timer, "__name__", type(setting.timer).__name__)
    correlation = lag1_rank_correlation(timing.latencies)
    return {
        "clock": clock,
        "timer_overhead_ns": timer_overhead_ns(setting.timer),
        "latency": "from the start of the call to each result in host memory",
        "schedule": "closed loop: the next call starts when the last one has ended",
        "warmup_n": prepared.warmup,
        "blocks": len(timing.starts),
        "settle_n": SETTLE,
        "gc": "disabled",
        "percentile": "nearest rank (inverted_cdf)",
        "confidence": CONFIDENCE,
        "bounds": "order statistics, for independent samples",
        "lag1_rank_correlation": None if correlation is None else round(correlation, 4),
        "outliers_removed": 0,
        "wall_ns": timing.wall_ns,
        "cpu_ns": timing.cpu_ns,
    }


def _stream(stream: Stream, work: Work, timing: Timing, latency: dict[str, Any]) -> dict[str, Any]:
    """Real-time margin = signal time consumed / wall time; above 1 keeps up.

    The mean is over the whole of the timed blocks. `margin_p99` is the margin at the p99 latency:
    99 % of samples have at least that much.
    """
    # Exact until the last division: a margin is a quotient that people quote.
    each_ns = Fraction(work.items * stream.hop * 10**9) / Fraction(stream.fs_hz)
    signal_ns = each_ns * len(timing.latencies)

    def margin(span_ns: int | None) -> float | None:
        return float(each_ns / span_ns) if span_ns else None

    misses = sum(1 for value in timing.latencies if value > stream.deadline_ns)
    return {
        **encode(stream),
        "frames": work.items * len(timing.latencies),
        "frames_per_sample": work.items,
        "signal_ns": round(signal_ns),
        "misses": misses,
        "margin_mean": float(signal_ns / timing.wall_ns) if timing.wall_ns else None,
        "margin_p50": margin(latency["p50"]),
        "margin_p99": margin(latency["p99"]),
    }


def _rate(work: Work, timing: Timing) -> dict[str, float] | None:
    """Throughput over the timed blocks, per second of wall time."""
    if not timing.wall_ns:
        return None
    per_second = len(timing.latencies) * 1e9 / timing.wall_ns
    return {
        "items_s": work.items * per_second,
        "flop_s": work.flops * per_second,
        "bytes_s": work.bytes * per_second,
    }
