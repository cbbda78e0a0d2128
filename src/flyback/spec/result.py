"""Result: one line of results.jsonl, one per cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["SCHEMA", "Result", "Status"]

SCHEMA = 1
Status = Literal["ok", "invalid", "skipped", "error"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one cell measured. Every time is in integer nanoseconds unless its name says otherwise.

    Args:
        status: `ok`; `invalid` where the correctness gate failed (then there are no timings);
            `skipped`; `error`.
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
