"""Event and Marker: what happened, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Event", "EventKind", "Marker", "MarkerKind"]

EventKind = Literal[
    "agent-started",
    "prepared",
    "cell-started",
    "cell-finished",
    "progress",
    "heartbeat",
    "upload-retried",
    "checkpoint-restored",
    "checkpoint-committed",
    "checkpoint-failed",
    "checkpoint-left",
    "notice-allows",
    "resumed",
    "rebalance",
    "extended",
    "deadline",
    "interruption-notice",
    "uploaded",
    "finished",
]

MarkerKind = Literal["SUCCESS", "FAILURE", "INTERRUPTED"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of events.jsonl. `at` is in seconds since the epoch."""

    at: float
    kind: EventKind
    attempt: int
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Marker:
    """How an attempt, or the whole run, ended. Written once, never replaced.

    Args:
        kind: SUCCESS, FAILURE or INTERRUPTED.
        exit_code: The job's; negative is the signal that killed it; None where it never ran.
        reason: `ok`, `exit`, `signal`, `setup`, `bundle`, `upload`, `deadline`, `stalled`,
            `lost`, `interrupted`, `stopped`, `agent`.
        log_tail: Last lines of the log.
    """

    run_id: str
    attempt: int
    kind: MarkerKind
    exit_code: int | None
    reason: str
    log_tail: str
    at: float
