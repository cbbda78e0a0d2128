"""Result: one line of results.jsonl, one per cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["SCHEMA", "Result", "Status"]

SCHEMA = 1
Status = Literal["ok", "invalid", "suspect", "skipped", "error"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one cell measured. Every time is in integer nanoseconds unless its name says otherwise.

    Args:
        status: `ok`; `invalid` where the correctness gate failed (then there are no timings);
            `suspect` where it was quicker than the machine can be; `skipped`; `error`.
        id: Of this row alone.
        workload: `name` and `version`.
        params: The cell's parameters, resolved.
        backend: Library that computed, `name` and `version`.
        latency_ns: `p50 p90 p95 p99 p999 max min mean n`, each percentile with `_ci` bounds; null
            where there are too few samples. No sample is ever removed.
        samples: `n`, `sha256` and `file` of the raw samples.
        stream: `fs_hz nfft hop channels deadline_ns misses margin_p50 margin_mean margin_p99`.
        work: `flops`, `bytes`, `items`, `item_unit` of one call.
        accuracy: `metric value threshold reference passed`.
        values: What a user's own command reported.
        env: Machine, interpreter and package versions.
        fingerprint: `sha256` of what two comparable results have in common, and its `fields`.
        cold_first_s: Seconds from the start of the process's work to its first result.
        device_ns: As `latency_ns`, by the device's own clock.
        roofline: `bound_ns limiter efficiency ceilings source`; efficiency is the bound over p50.
        health: `verdict` (clean, contended, throttled, unknown) and what it rests on.
        cost: Null so far; the receipt holds the cost of the whole run.
    """

    schema: int = SCHEMA
    run_id: str = ""
    cell: int = 0
    ts_utc: str = ""
    status: Status = "ok"
    reason: str = ""
    workload: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    backend: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = ""
    device: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    latency_ns: Mapping[str, Any] | None = None
    samples: Mapping[str, Any] | None = None
    stream: Mapping[str, Any] | None = None
    work: Mapping[str, Any] | None = None
    rate: Mapping[str, Any] | None = None
    accuracy: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None
    env: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] | None = None
    id: str = ""
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    cold_first_s: float | None = None
    device_ns: Mapping[str, Any] | None = None
    roofline: Mapping[str, Any] | None = None
    health: Mapping[str, Any] = field(default_factory=dict)
