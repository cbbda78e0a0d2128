"""Runs that this machine has launched: found by their folders, asked how they stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flyback.api.runs import Run
from flyback.api.verbs import Options
from flyback.api.wiring import Cloud, CloudName, local_home, open_cloud
from flyback.errors import FlybackError, UserError
from flyback.launch.local import is_alive
from flyback.spec.codec import read_json
from flyback.spec.launch import Launch
from flyback.spec.paths import RunPaths
from flyback.spec.plan import Plan

__all__ = ["Standing", "open_collected", "open_run", "run_ids", "standing"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One line of `flyback ps`.

    Args:
        state: `SUCCESS`, `FAILURE`, `INTERRUPTED`, `running`, `lost`, `unreachable` where its
            account can't be asked, `unreadable` where its files here are damaged.
        usd: From the receipt; None before it is collected.
    """

    run_id: str
    engine: str
    cloud: str
    state: str
    machine: str
    usd: float | None


def run_ids() -> tuple[str, ...]:
    """Runs that were launched from this machine, oldest first."""
    found = (local_home() / "runs").glob("*/launch.json")
    return tuple(path.parent.name for path in sorted(found, key=_written))


def _written(path: Path) -> tuple[float, str]:
    """job.json is written once, before the launch; launch.json changes with each attempt."""
    first = path.with_name("job.json")
    return (first if first.exists() else path).stat().st_mtime, path.parent.name


def open_run(run_id: str | None = None, *, options: Options | None = None) -> Run:
    """A run that was launched before, from this machine; None takes the latest.

    Raises:
        UserError: there is no such run, or its emulated cloud is gone.
    """
    launch, plan = _stored(run_id)
    chosen = options or Options()
    cloud = _cloud_of(launch, chosen)
    return Run(launch, plan, cloud, chosen.report, max_usd_per_day=chosen.max_usd_per_day)


def open_collected(run_id: str | None = None) -> Run:
    """A run as its files here tell it; no account is asked.

    Raises:
        UserError: there is no such run, or it was not collected yet.
    """
    launch, plan = _stored(run_id)
    run = Run(launch, plan, None)
    if run.marker() is None or not (run.folder / "receipt.json").exists():
        raise UserError(
            "the run is not collected yet",
            where=launch.run_id,
            remedy=f"run `flyback collect {launch.run_id}` first",
        )
    return run


def standing(run_id: str, *, options: Options | None = None) -> Standing:
    """How a run stands: from its files here where it is over, else from its account."""
    try:
        launch, plan = _stored(run_id)
    except UserError:
        return Standing(
            run_id=run_id, engine="", cloud="", state="unreadable", machine="", usd=None
        )
    attempt = launch.attempts[-1]
    here = Run(launch, plan, None)
    marker = here.marker()
    if marker is None and launch.engine == "local":
        state = "running" if is_alive(local_home(), run_id) else "lost"
    elif marker is None:
        state = _asked(launch, plan, options or Options())
    else:
        state = marker.kind
    collected = (here.folder / "receipt.json").exists()
    return Standing(
        run_id=run_id,
        engine=launch.engine,
        cloud="rehearsal" if launch.rehearsed else "aws" if launch.engine != "local" else "",
        state=state,
        machine=attempt.instance_type or "",
        usd=here.receipt().total_usd if collected else None,
    )


def _asked(launch: Launch, plan: Plan, options: Options) -> str:
    try:
        run = Run(launch, plan, _cloud_of(launch, options))
        marker, over = run.marker(), run.is_over()
    except FlybackError:
        return "unreachable"
    if marker is not None:
        return marker.kind
    if over:
        return "lost"
    return "running" if run.launch.attempts[-1].instance_id else "launching"


def _stored(run_id: str | None) -> tuple[Launch, Plan]:
    known = run_ids()
    if not known:
        raise UserError("no run was launched from here", remedy="`flyback run JOB` launches one")
    if run_id is not None and run_id not in known:
        raise UserError(
            f"no run {run_id!r}", where=f"{local_home() / 'runs'}", remedy="`flyback ps` lists runs"
        )
    paths = RunPaths(run_id or known[-1])
    home = local_home()
    return _read(Launch, home / paths.launch), _read(Plan, home / paths.plan)


def _read(kind: type[T], path: Path) -> T:
    try:
        return read_json(kind, path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{error}", where="run folder", remedy=f"mend or remove {path.parent}"
        ) from error


def _cloud_of(launch: Launch, options: Options) -> Cloud | None:
    if launch.engine == "local":
        return None
    name: CloudName = "rehearsal" if launch.rehearsed else "aws"
    return open_cloud(name, region=launch.region, profile=options.profile)
