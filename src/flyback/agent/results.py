"""Every cell gets its row in results.jsonl: what it reported, or why there is nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Mapping
from typing import Any

from flyback.agent.child import Ended
from flyback.errors import AccessDeniedError, NotFoundError
from flyback.spec.codec import decode, loads
from flyback.spec.job import JobSpec
from flyback.spec.paths import RunPaths
from flyback.spec.result import Result, Status
from flyback.store.protocol import Store

__all__ = ["Rows", "finished"]


def finished(store: Store, run: RunPaths, attempt: int) -> list[Result]:
    """Rows of the cells that an earlier attempt completed, without a gap from the first on.

    A cell that failed or was cut is run again.
    """
    for number in range(attempt - 1, 0, -1):
        try:
            data = store.get(run.attempt(number).results)
        except (NotFoundError, AccessDeniedError):  # S3 says so to who may not list the bucket
            continue
        rows = [loads(Result, line) for line in data.splitlines() if line.strip()]
        return list(itertools.takewhile(lambda row: row.status == "ok", rows))
    return []


class Rows:
    """Makes the rows of one run.

    Args:
        run_id: Goes into every row.
        job: Says whether a last line is a `Result` (workload) or the user's own (command).
    """

    def __init__(self, run_id: str, job: JobSpec) -> None:
        self._run_id = run_id
        self._job = job

    def ended(self, cell: int, params: Mapping[str, Any], ended: Ended, at: float) -> Result:
        """The row of a cell that ran to an end of its own."""
        reported = _json_object(ended.last_line)
        if ended.exit_code != 0:
            how = "signal" if ended.exit_code < 0 else "exit"
            reason = f"{how} {abs(ended.exit_code)}"
            failed = self._own(cell, params, "error", reason, at, reported)
            told = self._reported(cell, reported, at)
            return told if isinstance(told, Result) and told.status != "ok" else failed
        if self._job.workload is None:
            return self._own(cell, params, "ok", "", at, reported)
        told = self._reported(cell, reported, at)
        if isinstance(told, Result):
            return told
        return self._own(cell, params, "error", told, at, reported)

    def without(
        self, cell: int, params: Mapping[str, Any], status: Status, reason: str, at: float
    ) -> Result:
        """The row of a cell that was stopped, or never started."""
        return self._own(cell, params, status, reason, at)

    def _reported(self, cell: int, reported: Mapping[str, Any] | None, at: float) -> Result | str:
        """The workload's own result, or why its last line is none."""
        if self._job.workload is None or reported is None:
            return "the last line is no JSON object"
        try:
            result = decode(Result, dict(reported))
        except ValueError as error:
            return f"the last line is no result: {error}"
        return dataclasses.replace(
            result, run_id=self._run_id, cell=cell, ts_utc=result.ts_utc or _utc(at)
        )

    def _own(
        self,
        cell: int,
        params: Mapping[str, Any],
        status: Status,
        reason: str,
        at: float,
        values: Mapping[str, Any] | None = None,
    ) -> Result:
        return Result(
            run_id=self._run_id,
            cell=cell,
            ts_utc=_utc(at),
            status=status,
            reason=reason,
            workload={"name": self._job.workload or "command"},
            params=dict(params),
            values=values,
        )


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line, parse_constant=_null)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _null(constant: str) -> None:
    """NaN and the infinities are no JSON: a row says null."""
    del constant


def _utc(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
