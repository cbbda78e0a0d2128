"""Where the level of a cell changed over many results, oldest first.

Rows of other machines are left out, and counted. Where every row has timed the calibration cell,
its time is the unit, so that what the machine did is no change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyback.results.compare import Measured, key_of, unlike
from flyback.results.figures import format_count
from flyback.spec.result import Result
from flyback.stats.bootstrap import median
from flyback.stats.changepoints import FEWEST, change_points
from flyback.stats.verdict import LEAST_EFFECT

__all__ = ["CellHistory", "Change", "histories"]

_MOST = 100  # latest rows: the test's time grows with their square


@dataclass(frozen=True, kw_only=True)
class Change:
    """A new level.

    Args:
        ts_utc: When its first row was measured.
        row: Id of that row.
        git_sha: Commit that it was measured with; empty where it is not known.
        ratio: Median of the new level over that of the one before; 1.05 is 5 % slower.
    """

    ts_utc: str
    row: str
    git_sha: str
    ratio: float


@dataclass(frozen=True, kw_only=True)
class CellHistory:
    """One cell over time.

    Args:
        workload: Its name.
        params: Its parameters.
        n: Rows that were looked at, the latest hundred.
        p50_ns: Median latency of the latest row.
        by_control: Whether times are in units of the calibration cell's.
        changes: Ascending in time, each of the least effect at least.
        reason: Why nothing can be said, or what was left out.
    """

    workload: str
    params: Mapping[str, Any] = field(default_factory=dict)
    n: int
    p50_ns: int
    by_control: bool
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def regressed(self) -> bool:
        """Whether the latest level is slower than the one before."""
        return bool(self.changes) and self.changes[-1].ratio > 1


def histories(
    measured: Sequence[Measured], *, least_effect: float = LEAST_EFFECT
) -> list[CellHistory]:
    """The history of every cell: change points of the logarithm of its median latency.

    Args:
        measured: In any order; rows are sorted by the time that they were measured at.
        least_effect: Smaller changes are none.
    """
    rows = sorted((row for each in measured for row in each.results), key=lambda row: row.ts_utc)
    cells: dict[str, list[Result]] = {}
    for row in rows:
        if row.status == "ok" and (row.latency_ns or {}).get("p50"):
            cells.setdefault(key_of(row), []).append(row)
    return [_history(members, least_effect) for members in cells.values()]


def _history(rows: Sequence[Result], least_effect: float) -> CellHistory:
    last = rows[-1]
    fields, version = last.fingerprint.get("fields") or {}, last.workload.get("version")
    like = [
        row
        for row in rows
        if row.workload.get("version") == version
        and not unlike(row.fingerprint.get("fields") or {}, fields)
    ][-_MOST:]
    reasons = []
    if other := sum(row not in like for row in rows[-_MOST:]):
        reasons.append(f"{other} of other machines or versions left out")
    if len(like) < FEWEST:
        reasons.append(f"{format_count(len(like), 'result')}; it takes {FEWEST}")
    controls = [((row.method.get("control") or {}).get("p50_ns")) for row in like]
    by_control = all(controls)
    levels = [
        (row.latency_ns or {})["p50"] / (unit if by_control else 1)
        for row, unit in zip(like, controls, strict=True)
    ]
    return CellHistory(
        workload=str(last.workload.get("name", "")),
        params=last.params,
        n=len(like),
        p50_ns=(last.latency_ns or {})["p50"],
        by_control=by_control,
        changes=tuple(_changes(like, levels, least_effect)),
        reason="; ".join(reasons),
    )


def _changes(rows: Sequence[Result], levels: Sequence[float], least_effect: float) -> list[Change]:
    splits = change_points([math.log(level) for level in levels])
    ends = [0, *splits, len(levels)]
    found = []
    for number, start in enumerate(splits, 1):
        before, after = levels[ends[number - 1] : start], levels[start : ends[number + 1]]
        ratio = median(after) / median(before)
        if abs(math.log(ratio)) >= math.log1p(least_effect):
            row = rows[start]
            sha = str(row.env.get("git_sha") or "")
            found.append(Change(ts_utc=row.ts_utc, row=row.id, git_sha=sha, ratio=ratio))
    return found
