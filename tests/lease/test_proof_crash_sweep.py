"""Whoever dies at whatever step: past the deadline nothing bills, and what was saved stays."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.api.wiring import local_home
from flyback.errors import FlybackError
from flyback.launch.progress import silent

HOURS = 0.5  # so that an interruption leaves enough for another machine
SWEEP_S = 900.0
MARGIN_S = 120.0
RUN_ID = "crash"
OPTIONS = Options(cloud="rehearsal", run_id=RUN_ID)
Who = Literal["client", "agent", "guardian"]
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
        self._job = prepare(world.job("crash", max_hours=HOURS, spot={"attempts": 3}))
        self.overrun = 0.0

    def points(self) -> list[Point]:
        """Every step of a run that is interrupted once."""
        (told,) = self._copies.each([Point("client", 0, late=False)], lambda _: self._counted())
        counts = json.loads(told[1])
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

    def _counted(self) -> str:
        deaths = self._enter(Point("client", 0, late=False))
        run = start(self._job, self._world.client(deaths["client"]), OPTIONS, silent)
        marker = run.wait()
        assert (marker.kind, marker.attempt) == ("SUCCESS", 2), marker
        return json.dumps({who: death.steps for who, death in deaths.items()})

    def _survives(self, point: Point) -> str:
        world, deaths = self._world, self._enter(point)
        clock = world.cloud.clock
        began = clock.now()
        with suppress(BaseException):
            start(self._job, world.client(deaths["client"]), OPTIONS, silent).wait()
        found = []
        if point.soon:
            clock.sleep(PAUSES_S[point.k % 3])
            found += self._again()
            found += self._left()
        saved = {key for key in world.objects() if key.startswith(f"runs/{RUN_ID}/")}
        over = began + HOURS * 3600 + SWEEP_S + MARGIN_S + 200
        clock.sleep(max(over - clock.now(), 1.0))
        found += world.billing()
        found += [f"lost {key}" for key in saved - set(world.objects())]
        overrun = world.overrun(RUN_ID)
        found += self._again()
        clock.sleep(SWEEP_S + MARGIN_S)
        found += self._left()
        return json.dumps({"problems": found, "overrun": overrun})

    def _enter(self, point: Point) -> dict[str, Any]:
        """In a process of its own: the world is this process's alone."""
        world = self._world
        world.cloud = self._copies.cloud
        world.host.folder = local_home() / "machines"
        deaths = {who: self._death() for who in ("client", "agent", "guardian")}
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

    def _again(self) -> list[str]:
        """The same command once more: it ends well, or says that it is too late."""
        try:
            marker = start(self._job, self._world.client(), OPTIONS, silent).wait()
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
    """Client, agent and guardian, each killed at each step, before and after it takes effect."""
    bench = Sweep(world, death, copies)
    points = sweep(bench.points())
    leaks = bench.leaks(points)
    print(
        f"PROOF crash-sweep points={len(points)} leaks={len(leaks)} "
        f"max_overrun_s={max(bench.overrun, 0):.0f}"
    )
    assert not leaks, "\n".join(leaks[:5])
    assert bench.overrun <= SWEEP_S + MARGIN_S
