"""The commands that are cut off, and what stands before them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, deploy, remove, start
from flyback.api.wiring import Cloud, elsewhere
from flyback.cli.outcome import certify
from flyback.launch.progress import silent

HERE, THERE = "us-east-1", "us-west-2"
OPTIONS = Options(cloud="rehearsal", run_id="cut-off")


@dataclass(frozen=True)
class Command:
    """A command of the product, and what stands before it.

    Args:
        name: Of its cases.
        does: What `perform` knows.
        before: Commands that went well before it.
        alike: How many of its calls that say the same are cases.
    """

    name: str
    does: str
    before: tuple[str, ...] = ()
    alike: int = sys.maxsize


def perform(name: str, cloud: Cloud, job: Path) -> Run | None:
    """Carry out one command in the client's own view of the cloud, or what stands before it."""
    return _ACTS[name](cloud, job)


def _up(cloud: Cloud, job: Path) -> None:
    del job
    deploy(cloud, OPTIONS, silent)


def _up_there(cloud: Cloud, job: Path) -> None:
    _up(elsewhere(cloud, THERE), job)


def _store(cloud: Cloud, job: Path) -> None:
    """Somebody keeps data in the deployment."""
    del job
    bucket = deploy(cloud, OPTIONS, silent).data_bucket
    cloud.emulated.clients("s3", "us-east-1").put_object(Bucket=bucket, Key="kept", Body=b"1")


def _down(cloud: Cloud, job: Path) -> None:
    del job
    certify(remove(cloud, OPTIONS, keep_data=False, report=silent))


def _down_keeping(cloud: Cloud, job: Path) -> None:
    """Only what was asked for stays."""
    del job
    certify(remove(cloud, OPTIONS, keep_data=True, report=silent))


def _launch(cloud: Cloud, job: Path) -> Run:
    return start(prepare(job), cloud, OPTIONS, silent)


def _run(cloud: Cloud, job: Path) -> None:
    _finish(_launch(cloud, job))


def _run_on_demand(cloud: Cloud, job: Path) -> None:
    """The spot market has nothing, nor has a zone of the other: the second try succeeds."""
    prepared = prepare(job, overrides=["spot.attempts=1", "spot.then=on-demand"])
    run = start(prepared, cloud, OPTIONS, silent)
    _finish(run)
    _granted(run, lambda attempt: attempt.market == "on-demand")


def _run_there(cloud: Cloud, job: Path) -> None:
    """The chosen region has no machine: another one has."""
    prepared = prepare(job, overrides=["spot.attempts=1"])
    run = start(prepared, cloud, dataclasses.replace(OPTIONS, also_regions=(THERE,)), silent)
    _finish(run)
    _granted(run, lambda attempt: attempt.region == THERE)


def _finish(run: Run) -> None:
    marker = run.wait()
    assert marker.kind == "SUCCESS", marker


def _granted(run: Run, as_wanted: Callable[[Any], bool]) -> None:
    """It moved on: refused at first, then granted where it was to be."""
    first, last = run.launch.attempts[0], run.launch.attempts[-1]
    assert first.instance_id is None, run.launch.attempts
    assert last.instance_id is not None, run.launch.attempts
    assert as_wanted(last), run.launch.attempts


def _scarce(cloud: Cloud, job: Path) -> None:
    del job
    assert cloud.emulated is not None
    cloud.emulated.capacity.refuse(market="spot")
    cloud.emulated.capacity.refuse(zone=f"{HERE}a")


def _empty(cloud: Cloud, job: Path) -> None:
    del job
    assert cloud.emulated is not None
    for letter in "abcdef":
        cloud.emulated.capacity.refuse(zone=f"{HERE}{letter}")


_ACTS: dict[str, Callable[[Cloud, Path], Run | None]] = {
    "up": _up,
    "up there": _up_there,
    "store": _store,
    "down": _down,
    "down --keep-data": _down_keeping,
    "launch": _launch,
    "run": _run,
    "run on demand": _run_on_demand,
    "run there": _run_there,
    "no spot": _scarce,
    "nothing here": _empty,
}
COMMANDS = (
    Command("up", "up"),
    Command("up-again", "up", ("up", "store", "down --keep-data")),
    Command("run", "run", ("up",)),
    Command("run-on-demand", "run on demand", ("up", "no spot")),
    Command("run-there", "run there", ("up", "up there", "nothing here")),
    Command("down", "down", ("up", "launch")),
    # of a run that is over: one that goes on would leave more, the later it is ended; and the
    # certificate asks for two minutes whether the kept buckets are gone, 25 times the same
    Command("down-keep-data", "down --keep-data", ("up", "store", "run"), alike=3),
)
