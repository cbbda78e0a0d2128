"""One attempt, from launch.json to the last cell.

A cell that fails does not keep the others of its sweep from running: each gets its row, and the
attempt is a FAILURE with the first failing cell's exit code. Cells that never ran (deadline,
interruption, stall, failed set-up) get a row `skipped`.
"""

from __future__ import annotations

import contextlib
import functools
import platform
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyback.agent.cells import Surroundings, checkpoint_levels
from flyback.agent.checkpoints import Checkpoints
from flyback.agent.child import Ended
from flyback.agent.deadline import Deadline, deadline_tag
from flyback.agent.heartbeat import Heartbeat
from flyback.agent.interruption import Interruption
from flyback.agent.output import tail
from flyback.agent.outputs import Gathering
from flyback.agent.prepare import fetch_launch, prepare
from flyback.agent.results import Rows, finished
from flyback.agent.shipping import CloudLog, Shipping, StoredLog
from flyback.agent.supervise import Concern, Stop
from flyback.agent.workbench import Workbench
from flyback.errors import FlybackError
from flyback.spec.codec import dumps, write_atomic
from flyback.spec.event import MarkerKind
from flyback.spec.launch import Launch
from flyback.spec.result import Result
from flyback.store.notice import gigabytes_in_notice

__all__ = ["Attempt", "Outcome"]

_BEAT_LINES = 20
_BEAT_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the attempt ended; the marker says the same."""

    kind: MarkerKind
    reason: str
    exit_code: int | None


class Attempt:
    """Runs one attempt; `run` never raises.

    Args:
        bench: What it works with.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._phase = "preparing"
        self._cells = 0
        self._cell: int | None = None
        self._exit_code: int | None = None
        self._failed: Ended | None = None
        self._cut: Stop | None = None  # what ended the cells before their time
        self._invalid = ""
        self.rows: list[Result] = []
        self.shipping: Shipping | None = None
        self.interruption: Interruption | None = None
        self.checkpoints: Checkpoints | None = None
        self.launch: Launch | None = None

    def run(self) -> Outcome:
        """Everything up to the last cell's files."""
        bench = self._bench
        bench.journal.tell("agent-started", python=platform.python_version())
        outcome = self._try()
        self._phase = "finishing"
        self._complete_rows(outcome)
        return outcome

    def _try(self) -> Outcome:
        bench = self._bench
        try:
            self._run()
            complete = self._cells > 0 and len(self.rows) == self._cells
            if self._cut is not None and not (complete and self._failed is None):
                return self._stopped(self._cut)
            return self._judge()
        except FlybackError as error:
            bench.say(str(error))
            if bench.supervisor.stop is not None:
                return self._stopped(bench.supervisor.stop)
            return self._outcome("FAILURE", "setup", None)
        except Exception:  # noqa: BLE001  # whatever it is: a marker is written
            bench.say(traceback.format_exc())
            return self._outcome("FAILURE", "agent", self._exit_code)

    def _run(self) -> None:
        bench = self._bench
        self.launch = launch = fetch_launch(bench)
        bench.supervisor.watch(self._concerns(launch))
        bench.supervisor.tick()
        surroundings = prepare(bench, launch)
        bench.journal.tell("prepared")
        self._watch_checkpoints(launch)
        self._resume()
        rows = Rows(launch.run_id, launch.job)
        cells = list(launch.job.cells())
        self._phase, self._cells = "running", len(cells)
        for number, parameters in enumerate(cells):
            if number < len(self.rows):
                continue  # an earlier attempt brought it home
            bench.supervisor.tick()
            self._cut = bench.supervisor.stop
            if self._cut is not None:
                break
            self._run_cell(surroundings, rows, number, parameters)

    def _run_cell(
        self, surroundings: Surroundings, rows: Rows, number: int, parameters: Mapping[str, Any]
    ) -> None:
        bench = self._bench
        self._cell = number
        if self._cells > 1:
            bench.say(f"cell {number + 1} of {self._cells}: {dumps(parameters)}")
        command = surroundings.cell(number, parameters)
        gathering = Gathering(surroundings, number)
        bench.journal.tell("cell-started", cell=number, cells=self._cells)
        ended = bench.supervisor.run(command)
        self._exit_code = ended.exit_code
        stop = self._cut = bench.supervisor.stop
        now = bench.clock.now()
        if stop is not None and ended.exit_code != 0:
            row = rows.without(number, parameters, "error", stop.reason, now)
        else:
            row = rows.ended(number, parameters, ended, now)
        self.rows.append(row)
        if ended.exit_code != 0:
            self._failed = self._failed or ended
        elif row.status == "error":
            self._invalid = self._invalid or f"cell {number}: {row.reason}"
        bench.journal.tell(
            "cell-finished", cell=number, exit_code=ended.exit_code, status=row.status
        )
        self._bring_home(gathering)

    def _resume(self) -> None:
        """Go on behind the cells that an earlier attempt finished."""
        bench = self._bench
        if bench.options.attempt == 1:
            return
        self.rows = finished(bench.store, bench.run, bench.options.attempt)
        if self.rows:
            bench.journal.tell("resumed", cells=len(self.rows))

    def _save(self) -> None:
        if self.checkpoints is not None:
            self.checkpoints.tick(self._bench.clock.now())

    def _bring_home(self, gathering: Gathering) -> None:
        """What the cell made goes home before the next one starts."""
        bench = self._bench
        samples = ((bench.keys.sample(name), path) for name, path in gathering.samples())
        outputs = ((bench.keys.output(name), path) for name, path in gathering.outputs())
        bench.uploads.files([*samples, *outputs])
        self._write_rows()
        bench.uploads.file(bench.keys.results, bench.scratch.results)

    def _complete_rows(self, outcome: Outcome) -> None:
        """Each cell that never ran has a row that says why."""
        if self.launch is None:
            return
        rows, now = Rows(self.launch.run_id, self.launch.job), self._bench.clock.now()
        for number, parameters in enumerate(self.launch.job.cells()):
            if number >= len(self.rows):
                self.rows.append(rows.without(number, parameters, "skipped", outcome.reason, now))
        self._write_rows()

    def _write_rows(self) -> None:
        text = "".join(dumps(row) + "\n" for row in self.rows)
        write_atomic(self._bench.scratch.results, text.encode())

    def _watch_checkpoints(self, launch: Launch) -> None:
        bench = self._bench
        folder = bench.scratch.checkpoints(launch.job.checkpoint_dir)
        prefix = bench.run.checkpoints
        if launch.engine == "ec2" and launch.network_gbps:
            self._say_what_fits(launch)
        levels = checkpoint_levels(launch.job)
        self.checkpoints = Checkpoints(bench.store, prefix, folder, bench.journal, levels)
        bench.supervisor.also_watch(self.checkpoints)

    def _say_what_fits(self, launch: Launch) -> None:
        """How much can be brought home after an interruption notice, before it is needed."""
        with contextlib.suppress(FlybackError):
            kind = self._bench.services.metadata.get("instance-type") or ""
            if kind in launch.network_gbps:
                gbps = launch.network_gbps[kind]
                most = round(gigabytes_in_notice(gbps), 1)
                self._bench.journal.tell(
                    "notice-allows", instance_type=kind, network_gbps=gbps, gigabytes=most
                )

    def _concerns(self, launch: Launch) -> list[Concern]:
        bench = self._bench
        store, log = bench.store, bench.scratch.log
        if launch.log_group:
            stream = f"ec2-{launch.run_id}"
            self.shipping = CloudLog(bench.services.logs(), launch.log_group, stream, log)
        else:
            self.shipping = StoredLog(store, bench.keys.log, log)
        concerns: list[Concern] = [
            Heartbeat(store, bench.keys.heartbeat, self._beat),
            self.shipping,
        ]
        on_ec2 = launch.engine == "ec2"
        services = bench.services
        moved = functools.partial(deadline_tag, services.metadata) if on_ec2 else lambda: None
        span = (launch.deadline, launch.created_at)
        timer = (services.rearm, services.armed() if on_ec2 else None)
        concerns.append(Deadline(*span, bench.journal, moved, *timer))
        if on_ec2:
            self.interruption = Interruption(services.metadata, bench.journal, self._save)
            concerns.append(self.interruption)
        return concerns

    def _beat(self) -> dict[str, Any]:
        log = self._bench.scratch.log
        return {
            "attempt": self._bench.options.attempt,
            "phase": self._phase,
            "cell": self._cell,
            "cells": self._cells,
            "log_bytes": log.stat().st_size,
            "log_tail": tail(log, _BEAT_LINES, _BEAT_BYTES),
        }

    def _stopped(self, stop: Stop) -> Outcome:
        kind: MarkerKind = "INTERRUPTED" if stop.reason == "interrupted" else "FAILURE"
        return self._outcome(kind, stop.reason, self._exit_code)

    def _judge(self) -> Outcome:
        if self._failed is not None:
            reason = "signal" if self._failed.exit_code < 0 else "exit"
            return self._outcome("FAILURE", reason, self._failed.exit_code)
        if self._invalid:
            self._bench.say(self._invalid)
            return self._outcome("FAILURE", "exit", 0)
        return self._outcome("SUCCESS", "ok", 0)

    @staticmethod
    def _outcome(kind: MarkerKind, reason: str, exit_code: int | None) -> Outcome:
        return Outcome(kind=kind, reason=reason, exit_code=exit_code)
