"""How a run stands just now: its state, its health, what it has cost so far, what it has stored."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.launch.records import Records
from flyback.spec.event import Marker
from flyback.spec.launch import Attempt, Launch
from flyback.spec.plan import Plan
from flyback.spec.receipt import Receipt

__all__ = ["Status", "status_of"]

_HEALTHY_S = 75.0  # two beats and a half
_LATE_S = 300.0
_BOOT_S = 600.0  # from launch to the first beat, at most
_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `flyback status` shows.

    Args:
        state: `SUCCESS`, `FAILURE`, `INTERRUPTED`, `running`, or `launching` without a machine.
        phase: The agent's own word (`preparing`, `running`, `finishing`), or empty.
        health: `healthy`, `late`, `silent`, `booting`, `no machine` or `ended`.
        beat_age_s: Seconds since the agent's last sign of life; None before the first.
        elapsed_s: Seconds from launch to now, or to the end.
        left_s: Seconds to the deadline; None where the run is over.
        usd: Cost so far at the price of the plan; the receipt's where there is one; None where no
            price is known.
        objects: Files stored so far.
        stored_bytes: Their size.
        note: Why it ended without success, or has no machine; else empty.
    """

    run_id: str
    state: str
    phase: str
    health: str
    machine: str
    beat_age_s: float | None
    elapsed_s: float
    left_s: float | None
    usd: float | None
    objects: int
    stored_bytes: int
    note: str = ""


def status_of(launch: Launch, plan: Plan, records: Records, now: float) -> Status:
    """Ask the run's files.

    Args:
        launch: The run.
        plan: What it was launched by.
        records: Its files.
        now: Seconds since the epoch.
    """
    attempt, marker = launch.attempts[-1], records.marker()
    beat = records.beat(attempt.number)
    started = attempt.launched_at or launch.created_at
    ended = marker.at if marker is not None else now
    age = now - beat["at"] if beat else None
    objects, stored = records.stored_bytes()
    receipt = records.read(Receipt, records.paths.receipt)
    place = " ".join(part for part in (attempt.market, attempt.instance_type, attempt.zone) if part)
    elapsed = max(ended - started, 0.0)
    return Status(
        run_id=launch.run_id,
        state=_state(attempt, marker),
        phase=str(beat.get("phase", "")) if marker is None else "",
        health=_health(attempt, marker, age, elapsed),
        machine=place,
        beat_age_s=age,
        elapsed_s=elapsed,
        left_s=None if marker is not None else launch.deadline - now,
        usd=receipt.total_usd if receipt is not None else _spent(launch, plan, elapsed),
        objects=objects,
        stored_bytes=stored,
        note=_note(launch.run_id, attempt, marker),
    )


def _has_machine(attempt: Attempt) -> bool:
    return attempt.instance_id is not None or attempt.market == "local"


def _state(attempt: Attempt, marker: Marker | None) -> str:
    if marker is not None:
        return marker.kind
    return "running" if _has_machine(attempt) else "launching"


def _note(run_id: str, attempt: Attempt, marker: Marker | None) -> str:
    if marker is not None:
        lines = marker.log_tail.strip().splitlines()
        told = ": ".join([marker.reason, *lines[-1:]])
        return "" if marker.kind == "SUCCESS" else told
    if _has_machine(attempt):
        return ""
    if attempt.is_answered:
        last = next(each for each in reversed(attempt.refusals) if each.code)
        return f"refused for {last.kind}: {last.code}: {last.message}"
    return f"EC2 was asked, and its answer is not known; `flyback attach {run_id}` finds out"


def _health(attempt: Attempt, marker: Marker | None, age: float | None, elapsed: float) -> str:
    if marker is not None:
        return "ended"
    if not _has_machine(attempt):
        return "no machine"
    if age is None:
        return "booting" if elapsed < _BOOT_S else "silent"
    if age <= _HEALTHY_S:
        return "healthy"
    return "late" if age <= _LATE_S else "silent"


def _spent(launch: Launch, plan: Plan, elapsed: float) -> float | None:
    """Machine hours so far at the plan's price; storage and transfer come with the receipt."""
    attempt = launch.attempts[-1]
    if launch.engine == "local" or not _has_machine(attempt):
        return 0.0
    for candidate in plan.candidates:
        if candidate.instance_type == attempt.instance_type:
            spot = attempt.market == "spot"
            rate = candidate.spot_usd_hour if spot else candidate.on_demand_usd_hour
            return None if rate is None else rate * elapsed / _HOUR_S
    return None
