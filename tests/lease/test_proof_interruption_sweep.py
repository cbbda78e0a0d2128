"""Interrupted at whatever moment, a digest ends as if it had not been, and little is done twice."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import flyback
from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.launch.progress import silent
from flyback.spec.event import Marker

MOMENTS = 100
INTERVAL_S = 60.0  # what one checkpoint may cost: the job keeps its place on SIGTERM
# The shipped workload, started as a command: this process's own packages stand for the image's.
COMMAND = [
    *(sys.executable, "-m", "flyback.workloads", "spectral", "--json"),
    *("--parameters", "mode=digest", "nfft=512", "frames=432000", "batch=64"),
]


def digest_of(run: Any) -> str:
    """What the run's one cell reported."""
    (row,) = run.results()
    return str(row.values.get("values", row.values)["digest"])


def has_begun(run: Any) -> bool:
    """Whether the first attempt came as far as its first block, by its own words."""
    left = run._records.read(Marker, run._records.paths.attempt(1).marker)
    return left is None or left.kind == "SUCCESS" or "digest: " in left.log_tail


def launched(world: Any, run_id: str) -> Any:
    source = str(Path(flyback.__file__).parents[1])
    job = world.job(
        "digest", command=COMMAND, env={"PYTHONPATH": source}, spot={"attempts": 4}, max_hours=2
    )
    options = Options(cloud="rehearsal", run_id=run_id)
    return start(prepare(job), world.client(), options, silent)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_proof_interruption_sweep(world: Any, sweep: Callable[[Sequence[Any]], list[Any]]) -> None:
    """Notices at seeded moments between boot and the end of the computation."""
    plain = launched(world, "uninterrupted")
    began = world.cloud.clock.now()
    assert plain.wait().kind == "SUCCESS"
    expected = digest_of(plain)
    events = plain._records.events(1)
    (cell,) = [event.at for event in events if event.kind == "cell-started"]
    (end,) = [event.at for event in events if event.kind == "cell-finished"]
    chance = random.Random("interruptions")
    moments = sweep([chance.uniform(30, end - began) for _ in range(MOMENTS)])
    equal, most, problems, resumed, starting = 0, 0.0, [], 0, 0
    for number, moment in enumerate(moments):
        run = launched(world, f"interrupted-{number}")
        first = run.launch.attempts[0].instance_id

        def take(name: str = first) -> None:
            clock = world.emulated.clock
            if world.host.all[name].off:
                return
            world.host.notice(name, "terminate", clock.now() + 120)
            clock.call_after(120, lambda: world.emulated.machines.reclaim(name))

        world.emulated.clock.call_after(moment, take)
        marker = run.wait()
        resumed += marker.attempt > 1
        begun = has_begun(run)
        starting += not begun
        # what every start costs is no work yet, and takes as long as this computer is busy
        lost = run.receipt().usage.lost_work_s if begun else 0.0
        most = max(most, lost)
        if marker.kind == "SUCCESS" and digest_of(run) == expected and lost <= INTERVAL_S:
            equal += 1
        else:
            problems.append(f"{moment:.0f} s: {marker.kind} {marker.reason}, {lost:.1f} s lost")
    print(
        f"PROOF interruption-sweep moments={len(moments)} equal={equal} max_lost_s={most:.1f} "
        f"resumed={resumed} starting={starting} computing_s={end - cell:.0f}"
    )
    assert not problems, "\n".join(problems[:5])
    assert resumed > starting
