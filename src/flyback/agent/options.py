"""What the agent is told on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options", "parse"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """One attempt of one run.

    Args:
        run_id: The run.
        store: URL under which `runs/<run_id>/` lies.
        attempt: Counts from 1.
        root: Folder for scratch; each attempt has its own below it.
        boot_log: What the user-data printed; becomes the head of the log.
        power_off: Switch the machine off at the end.
    """

    run_id: str
    store: str
    attempt: int
    root: Path
    boot_log: Path | None = None
    power_off: bool = True


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; prints help or an error and exits where argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m flyback.agent",
        description="Run one attempt of a flyback run on this machine and bring home its files.",
    )
    parser.add_argument("--run-id", required=True, help="name of the run")
    parser.add_argument("--store", required=True, help="s3://bucket or file:///folder of the runs")
    parser.add_argument("--attempt", required=True, type=int, help="number of the attempt, from 1")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/opt/flyback/runs"),
        help="folder for scratch (default: %(default)s)",
    )
    parser.add_argument("--boot-log", type=Path, help="log of the boot, put before the job's")
    parser.add_argument(
        "--no-power-off", action="store_true", help="leave the machine on at the end"
    )
    given = parser.parse_args(arguments)
    return Options(
        run_id=given.run_id,
        store=given.store,
        attempt=given.attempt,
        root=given.root.resolve(),
        boot_log=given.boot_log,
        power_off=not given.no_power_off,
    )
