"""The runs of a home folder, as their files tell of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flyback.errors import UserError
from flyback.spec.certificate import Certificate
from flyback.spec.codec import loads, read_json
from flyback.spec.event import Marker
from flyback.spec.job import JobSpec
from flyback.spec.paths import RunPaths
from flyback.spec.plan import Plan
from flyback.spec.receipt import Receipt
from flyback.spec.result import Result

__all__ = ["StoredRun", "load_run", "stored_runs"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What is known of a run here; None stands for a file that is not there or can't be read.

    Args:
        folder: The run's folder.
        results: In cell order.
        problems: What could not be read, one sentence with the file for each.
    """

    run_id: str
    folder: Path
    job: JobSpec | None
    plan: Plan | None
    marker: Marker | None
    results: tuple[Result, ...]
    receipt: Receipt | None
    certificate: Certificate | None
    problems: tuple[str, ...]

    @property
    def at(self) -> float:
        """When it ended, seconds since the epoch; infinity while it has not."""
        return self.marker.at if self.marker is not None else float("inf")


def stored_runs(home: Path) -> tuple[StoredRun, ...]:
    """Every run under a home folder: those without an end first, then the latest."""
    folder = home / "runs"
    names = (
        sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []
    )
    found = [load_run(home, name) for name in names if _is_run_id(name)]
    return tuple(sorted(found, key=lambda run: (-run.at, run.run_id)))


def load_run(home: Path, run_id: str) -> StoredRun:
    """One run; what is damaged is told and left out, never an error.

    Raises:
        UserError: there is no folder of that run.
    """
    if not _is_run_id(run_id) or not (home / RunPaths(run_id).prefix).is_dir():
        raise UserError(
            f"no run {run_id!r}", where=str(home / "runs"), remedy="`flyback ps` lists runs"
        )
    paths = RunPaths(run_id)
    problems: list[str] = []
    return StoredRun(
        run_id=run_id,
        folder=home / paths.prefix,
        job=_read(JobSpec, home / paths.job, problems),
        plan=_read(Plan, home / paths.plan, problems),
        marker=_read(Marker, home / paths.marker, problems),
        results=_read_lines(home / paths.results, problems),
        receipt=_read(Receipt, home / paths.receipt, problems),
        certificate=_read(Certificate, home / paths.certificate, problems),
        problems=tuple(problems),
    )


def _is_run_id(name: str) -> bool:
    try:
        RunPaths(name)
    except ValueError:
        return False
    return True


def _read(kind: type[T], path: Path, problems: list[str]) -> T | None:
    if not path.exists():
        return None
    try:
        return read_json(kind, path)
    except (OSError, ValueError) as error:
        problems.append(str(error))
        return None


def _read_lines(path: Path, problems: list[str]) -> tuple[Result, ...]:
    if not path.exists():
        return ()
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(loads(Result, line))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    return tuple(sorted(found, key=lambda result: result.cell))
