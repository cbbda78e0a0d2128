"""Whoever dies at whatever step: past the deadline nothing bills, and what was saved stays."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import dying
import pytest
from copies import Line

from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, start
from flyback.api.wiring import local_home
from flyback.errors import FlybackError
from flyback.launch.lease import held
from flyback.launch.progress import silent
from flyback.store.open import open_store

MORE_HOURS = 0.5
LONG_S = 2700  # past the deadline and a client's patience with it, but for the extension
MOMENTS_S = (60.0, 240.0, 420.0)  # of it: on the first machine, between the two, on the second
SWEEP_S = 900.0
MARGIN_S = 120.0
LAUNCH_S = 200.0  # at most, until the deadline begins to count
RUN_ID = "crash"
OPTIONS = Options(cloud="rehearsal", run_id=RUN_ID)
Who = Literal["client", "agent", "guardian", "extender"]
MORTALS: tuple[Who, ...] = ("client", "agent", "guardian", "extender")
PAUSES_S = (0.0, 60.0, 600.0)
# What is written once under a run, or again with the same bytes: nobody's death may change it.
ONCE = re.compile(r"/(marker|job|environment)\.json$|/checkpoints/(?!index\.json)|/samples/")


@dataclass(frozen=True)
class Scene:
    """What happens in a run, and how it ends where nobody dies.

    Args:
        hours: Its `max_hours`.
        ends: Kind of its marker, and number of its last attempt.
        by: Who are killed in it.
    """

    hours: float
    ends: tuple[str, int]
    by: tuple[Who, ...]


SCENES: dict[str, Scene] = {
    # half an hour, so that the interruption leaves enough for another machine
    "interrupted": Scene(0.5, ("SUCCESS", 2), ("client", "agent", "guardian")),
    "extended": Scene(0.5, ("SUCCESS", 2), ("extender",)),
    # The agent never comes up, and neither the machine's timer nor its own schedule ends it: all
    # is the guardian's. Below twenty minutes, or it would count as lost before.
    "deadline": Scene(0.25, ("FAILURE", 1), ("guardian",)),
    # The first agent never comes up: the machine is ended, and another goes on.
    "silent": Scene(1.0, ("SUCCESS", 2), ("guardian",)),
}


@dataclass(frozen=True)
class Point:
    """Who dies, at which of its steps (0: nobody does), and whether that step takes effect.

    Args:
        soon: Whether somebody runs the run again before its deadline; else only long after.
    """

    scene: str
    who: Who
    k: int
    late: bool
    soon: bool = False


class Sweep:
    """Runs points, each in a process of its own that begins with a deployed account.

    Args:
        world: The account.
        death: A way to die.
        copies: Makes the processes.
    """

    def __init__(self, world: Any, death: Any, copies: Any) -> None:
        self._world = world
        self._death = death
        self._copies = copies
        self._jobs = {name: self._prepared(name, scene) for name, scene in SCENES.items()}
        self._line = Line(world.cloud)  # of a second terminal, beside the one that waits
        self.overrun = 0.0
        self._moved = False
        self._deadline: float | None = None  # that holds, where somebody has tried to move it

    def points(self) -> list[Point]:
        """Every step that those who are killed in a scene take in it."""
        ways = [Point(name, scene.by[0], 0, late=False) for name, scene in SCENES.items()]
        counts = {w.scene: json.loads(told) for w, told in self._copies.each(ways, self._counted)}
        found = [
            Point(name, who, k, late)
            for name, scene in SCENES.items()
            for who in scene.by
            for k in range(1, counts[name][who] + 1)
            for late in (False, True)
        ]
        soon = (dataclasses.replace(p, soon=True) for p in found if p.who == "client")
        return [*found, *soon]

    def leaks(self, points: Sequence[Point]) -> list[str]:
        """What is wrong at the ends of these."""
        problems = []
        ended = self._copies.each(points, self._survives)
        for number, (point, told) in enumerate(ended, start=1):
            problem = told
            with suppress(ValueError):  # else it says how it broke
                found = json.loads(told)
                self.overrun = max(self.overrun, found["overrun"])
                problem = "; ".join(found["problems"])
            print(f"{number} of {len(points)} {point}: {problem or 'well'}", file=sys.stderr)
            problems += [f"{point}: {problem}"] if problem else []
        return problems

    def _counted(self, point: Point) -> str:
        deaths = self._enter(point)
        marker = self._run(point, deaths)
        assert marker is not None
        assert (marker.kind, marker.attempt) == SCENES[point.scene].ends, marker
        return json.dumps({who: death.steps for who, death in deaths.items()})

    def _survives(self, point: Point) -> str:
        world, deaths = self._world, self._enter(point)
        clock = world.cloud.clock
        began = clock.now()
        marker, found = None, []
        with suppress(BaseException):
            marker = self._run(point, deaths)
        if self._moved and (marker is None or marker.kind != "SUCCESS"):
            found.append(f"extended, and ended as {marker}")
        if point.scene == "deadline" and (marker is None or marker.kind != "FAILURE"):
            found.append(f"left to the guardian, and ended as {marker}")
        if point.soon:
            clock.sleep(PAUSES_S[point.k % 3])
            found += self._again(point)
            found += self._left()
        saved = {
            key: tag for key, tag in world.objects().items() if key.startswith(f"runs/{RUN_ID}/")
        }
        holds = self._deadline or began + SCENES[point.scene].hours * 3600 + LAUNCH_S
        clock.sleep(max(holds + SWEEP_S + MARGIN_S - clock.now(), 1.0))
        found += world.billing()
        overrun = world.overrun(RUN_ID, self._deadline)
        found += self._again(point)
        found += changed(saved, world.objects())
        clock.sleep(SWEEP_S + MARGIN_S)
        found += self._left()
        return json.dumps({"problems": found, "overrun": overrun})

    def _prepared(self, name: str, scene: Scene) -> Any:
        fields: dict[str, Any] = {"max_hours": scene.hours, "spot": {"attempts": 3}}
        if name == "extended":
            fields["command"] = ["sleep", str(LONG_S)]
        return prepare(self._world.job(name, **fields))

    def _run(self, point: Point, deaths: dict[str, Any]) -> Any:
        """Launch and wait; where the point is another's, that one extends meanwhile."""
        self._moved = False
        job = self._jobs[point.scene]
        run = start(job, self._world.client(deaths["client"]), OPTIONS, silent)

        def extends(clock: Any) -> None:
            clock.sleep(MOMENTS_S[point.k % len(MOMENTS_S)])
            cloud = run._cloud
            session = self._line.session(deaths["extender"], cloud.ledger)
            other = Run(run.launch, run.plan, dataclasses.replace(cloud, session=session))
            with suppress(FlybackError, dying.KilledThread):
                other.extend(MORE_HOURS)
                self._moved = True
            # what the guardian holds is the truth, whatever schedules and tag were moved before
            holds = held(open_store(run.launch.store, s3_client=self._world.host.s3), RUN_ID)
            self._deadline = (holds or run.launch).deadline

        if point.who == "extender":
            self._world.emulated.clock.spawn("another terminal", extends)
        return run.wait()

    def _enter(self, point: Point) -> dict[str, Any]:
        """In a process of its own: the world is this process's alone."""
        world = self._world
        world.cloud = self._copies.cloud
        world.host.folder = local_home() / "machines"
        deaths = {who: self._death() for who in MORTALS}
        deaths[point.who] = self._death(point.k, point.late)
        world.host.death, world.rooms.death = deaths["agent"], deaths["guardian"]
        world.host.dead_agent = point.scene in ("deadline", "silent")
        if point.scene == "deadline":
            world.host.timers = False
            world.emulated.timetable.lost = lambda schedule: "-machine-" in schedule.name
        first: list[str] = []

        def boot(instance_id: str, region: str) -> None:
            type(world.host).boot(world.host, instance_id, region)
            if first:
                world.host.dead_agent = False
                return
            first.append(instance_id)
            if point.scene in ("interrupted", "extended"):
                world.emulated.clock.call_after(120, lambda: self._take(instance_id))

        world.host.boot = boot
        return deaths

    def _again(self, point: Point) -> list[str]:
        """The same command once more: it ends well, or says that it is too late."""
        try:
            marker = start(self._jobs[point.scene], self._world.client(), OPTIONS, silent).wait()
        except FlybackError as error:
            return [] if "deadline has passed" in str(error) else [f"again: {error}"]
        return [] if marker.kind in ("SUCCESS", "FAILURE") else [f"again: {marker}"]

    def _left(self) -> list[str]:
        return [*self._world.billing(), *self._world.kept(RUN_ID)]

    def _take(self, instance_id: str) -> None:
        """EC2 wants the first machine back."""
        world = self._world
        if world.host.all[instance_id].off:
            return
        world.host.notice(instance_id, "terminate", world.emulated.clock.now() + 120)
        world.emulated.clock.call_after(120, lambda: world.emulated.machines.reclaim(instance_id))


def changed(saved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What was there and is not, or not as it was."""
    lost = [f"lost {key}" for key in sorted(saved.keys() - now.keys())]
    once = sorted(key for key in saved.keys() & now.keys() if ONCE.search(key))
    return [*lost, *(f"changed {key}" for key in once if saved[key] != now[key])]


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("quick")
def test_proof_crash_sweep(
    world: Any, death: Any, copies: Any, sweep: Callable[[Sequence[Any]], list[Any]]
) -> None:
    """Client, agent, guardian and who extends, each killed at each step, before and after it."""
    bench = Sweep(world, death, copies)
    points = sweep(bench.points())
    leaks = bench.leaks(points)
    print(
        f"PROOF crash-sweep points={len(points)} leaks={len(leaks)} "
        f"max_overrun_s={max(bench.overrun, 0):.0f}"
    )
    assert not leaks, "\n".join(leaks[:5])
    assert bench.overrun <= SWEEP_S + MARGIN_S
