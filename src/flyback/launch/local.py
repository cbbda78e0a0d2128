"""The local engine: the same agent here, as a process of its own, with the same run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from flyback.errors import UserError
from flyback.launch.archive import Archive
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.codec import write_atomic
from flyback.spec.launch import Attempt, Launch
from flyback.spec.paths import workdir_key
from flyback.spec.plan import Plan

__all__ = ["LocalExecutor", "is_alive", "stop_local"]


_LOCK = "agent.lock"


class LocalExecutor:
    """Runs a plan on this machine.

    Args:
        home: Root of all local state.
        clock: Gives the launch its time.
        report: Told each step.
    """

    def __init__(self, home: Path, clock: Clock, report: Report) -> None:
        self._home = home
        self._clock = clock
        self._report = report

    def launch(self, plan: Plan, archive: Archive | None, records: Records) -> Launch:
        """Start the agent; it goes on when this process ends."""
        now = self._clock.now()
        run_id = records.paths.run_id
        if archive is not None:
            records.local.put(workdir_key(archive.sha256), archive.data)
        launch = Launch(
            run_id=run_id,
            job=plan.job,
            engine="local",
            region="",
            store=self._home.as_uri(),
            log_group="",
            image_id="",
            image_parameter="",
            bundle_sha256="",
            workdir_sha256=archive.sha256 if archive else None,
            created_at=now,
            deadline=now + plan.deadline_hours * 3600,
            attempts=(Attempt(number=1, token=run_id, market="local", launched_at=now),),
        )
        records.write(records.paths.job, plan.job)
        records.write(records.paths.plan, plan)
        records.write(records.paths.launch, launch)
        self._start(launch)
        return launch

    def _start(self, launch: Launch) -> None:
        scratch = _scratch(self._home, launch.run_id)
        scratch.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "flyback.agent"),
            *("--run-id", launch.run_id, "--store", launch.store, "--attempt", "1"),
            *("--root", str(scratch), "--no-power-off"),
        ]
        with (scratch / "agent.log").open("ab") as log, (scratch / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(),),  # the lock is the agent's for as long as it lives
                start_new_session=True,  # Ctrl-C here must not end the run there
            )
        write_atomic(scratch / "agent.pid", str(process.pid).encode())
        process.returncode = 0  # it outlives us on purpose; nobody waits for it
        self._report("launch", f"the agent runs here as process {process.pid}")


def is_alive(home: Path, run_id: str) -> bool:
    """Whether the run's agent is still a process of this machine: it holds its lock while it is."""
    pid = _pid(home, run_id)
    if pid is not None:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)  # reaps it where it is our own child
    try:
        with (_scratch(home, run_id) / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def stop_local(home: Path, run_id: str) -> None:
    """Ask the run's agent to end: it saves, writes its marker and exits.

    Raises:
        UserError: the run is not running here.
    """
    pid = _pid(home, run_id)
    if pid is None or not is_alive(home, run_id):
        raise UserError(f"run {run_id} is not running here", remedy="`flyback ps` lists runs")
    os.kill(pid, signal.SIGTERM)


def _scratch(home: Path, run_id: str) -> Path:
    return home / "scratch" / run_id


def _pid(home: Path, run_id: str) -> int | None:
    try:
        return int((_scratch(home, run_id) / "agent.pid").read_text())
    except (OSError, ValueError):
        return None
