"""Whoever dies at whatever step: past the deadline nothing bills, and what was saved stays."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
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
from flyback.launch.progress import silent

HOURS = 0.5  # so that an interruption leaves enough for another machine
MORE_HOURS = 0.5
LONG_S = 2700  # past the deadline and a client's patience with it, but for the extension
MOMENTS_S = (60.0, 240.0, 420.0)  # of it: on the first machine, between the two, on the second
SWEEP_S = 900.0
MARGIN_S = 120.0
RUN_ID = "crash"
OPTIONS = Options(cloud="rehearsal", run_id=RUN_ID)
Who = Literal["client", "agent", "guardian", "extender"]
MORTALS: tuple[Who, ...] = ("client", "agent", "guardian", "extender")
PAUSES_S = (0.0, 60.0, 600.0)


@dataclass(frozen=True)
class Point:
    """Who dies, at which of its steps (0: nobody does), and whether that step takes effect.

    Args:
        soon: Whether somebody runs the run again before its deadline; else only long after.
    """

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
        fields: dict[str, Any] = {"max_hours": HOURS, "spot": {"attempts": 3}}
        self._job = prepare(world.job("crash", **fields))
        self._long = prepare(world.job("long", command=["sleep", str(LONG_S)], **fields))
        self._line = Line(world.cloud)  # of a second terminal, beside the one that waits
        self.overrun = 0.0
        self._moved = False

    def points(self) -> list[Point]:
        """Every step of a run that is interrupted once, and of its extension from elsewhere."""
        ways = [Point("client", 0, late=False), Point("extender", 0, late=False)]
        told = {way.who: json.loads(text) for way, text in self._copies.each(ways, self._counted)}
        counts = {**told["client"], "extender": told["extender"]["extender"]}
        found = [
            Point(who, k, late)
            for who, count in counts.items()
            for k in range(1, count + 1)
            for late in (False, True)
        ]
        return [*found, *(Point(p.who, p.k, p.late, True) for p in found if p.who == "client")]

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
        assert (marker.kind, marker.attempt) == ("SUCCESS", 2), marker
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
        if point.soon:
            clock.sleep(PAUSES_S[point.k % 3])
            found += self._again(point)
            found += self._left()
        saved = {key for key in world.objects() if key.startswith(f"runs/{RUN_ID}/")}
        hours = HOURS + (MORE_HOURS if point.who == "extender" else 0)
        over = began + hours * 3600 + SWEEP_S + MARGIN_S + 200
        clock.sleep(max(over - clock.now(), 1.0))
        found += world.billing()
        found += [f"lost {key}" for key in saved - set(world.objects())]
        overrun = world.overrun(RUN_ID)
        found += self._again(point)
        clock.sleep(SWEEP_S + MARGIN_S)
        found += self._left()
        return json.dumps({"problems": found, "overrun": overrun})

    def _job_of(self, point: Point) -> Any:
        return self._long if point.who == "extender" else self._job

    def _run(self, point: Point, deaths: dict[str, Any]) -> Any:
        """Launch and wait; where the point is another's, that one extends meanwhile."""
        self._moved = False
        run = start(self._job_of(point), self._world.client(deaths["client"]), OPTIONS, silent)

        def extends(clock: Any) -> None:
            clock.sleep(MOMENTS_S[point.k % len(MOMENTS_S)])
            cloud = run._cloud
            session = self._line.session(deaths["extender"], cloud.ledger)
            other = Run(run.launch, run.plan, dataclasses.replace(cloud, session=session))
            with suppress(FlybackError, dying.KilledThread):
                other.extend(MORE_HOURS)
                self._moved = True

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
        first: list[str] = []

        def boot(instance_id: str, region: str) -> None:
            type(world.host).boot(world.host, instance_id, region)
            if not first:
                first.append(instance_id)
                world.emulated.clock.call_after(120, lambda: self._take(instance_id))

        world.host.boot = boot
        return deaths

    def _again(self, point: Point) -> list[str]:
        """The same command once more: it ends well, or says that it is too late."""
        try:
            marker = start(self._job_of(point), self._world.client(), OPTIONS, silent).wait()
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


@pytest.mark.proof
@pytest.mark.unsettled
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
