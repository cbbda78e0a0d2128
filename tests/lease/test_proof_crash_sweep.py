"""Whoever dies at whatever step: past the deadline nothing bills, and what was saved stays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.errors import FlybackError
from flyback.launch.progress import silent

HOURS = 0.25
SAVE = "mkdir -p $FLYBACK_CHECKPOINT_DIR/1; touch $FLYBACK_CHECKPOINT_DIR/1/COMPLETE; "
SWEEP_S = 900.0
MARGIN_S = 120.0
Who = Literal["client", "agent", "guardian"]


@dataclass(frozen=True)
class Point:
    """Who dies, at which of its steps, and whether that step takes effect."""

    who: Who
    k: int
    after: bool


class Sweep:
    """Runs points in one account, one after the other.

    Args:
        world: The account.
        death: A way to die.
    """

    def __init__(self, world: Any, death: Any) -> None:
        self._world = world
        self._death = death
        self._runs = 0
        self.overrun = 0.0

    def counts(self) -> dict[Who, int]:
        """How many steps each makes in a run that is interrupted once."""
        client, agent, guardian = self._death(), self._death(), self._death()
        self._run("count", client, agent, guardian)
        return {"client": client.steps, "agent": agent.steps, "guardian": guardian.steps}

    def points(self) -> list[Point]:
        return [
            Point(who, k, after)
            for who, count in self.counts().items()
            for k in range(1, count + 1)
            for after in (False, True)
        ]

    def survives(self, point: Point) -> str:
        """Empty, or what is wrong at the end."""
        deaths = {who: self._death() for who in ("client", "agent", "guardian")}
        deaths[point.who] = self._death(point.k, point.after)
        self._runs += 1
        run_id = f"crash-{self._runs}"
        began = self._world.cloud.clock.now()
        saved = self._run(run_id, *deaths.values())
        clock = self._world.cloud.clock
        over = began + HOURS * 3600 + SWEEP_S + MARGIN_S + 200
        clock.sleep(max(over - clock.now(), 0.0))
        found = self._world.billing(run_id)
        found += [f"lost {key}" for key in saved - set(self._world.objects())]
        self.overrun = max(self.overrun, self._world.overrun(run_id))
        try:  # running again
            run = self._start(run_id, self._world.client())
            run.wait()
        except FlybackError as error:
            if "deadline has passed" not in str(error):
                found.append(f"again: {error}")
        clock.sleep(SWEEP_S + MARGIN_S)
        found += [*self._world.billing(run_id), *self._world.kept(run_id)]
        return f"{point}: {found}" if found else ""

    def _run(self, run_id: str, client: Any, agent: Any, guardian: Any) -> set[str]:
        """Launch, interrupt the first machine, wait; what the bucket holds when the client ends."""
        world, clock = self._world, self._world.cloud.clock
        world.host.death, world.rooms.death = agent, guardian
        first: list[str] = []

        def boot(instance_id: str, region: str) -> None:
            type(world.host).boot(world.host, instance_id, region)
            if first:
                return
            first.append(instance_id)
            world.emulated.clock.call_after(80, lambda: self._take(instance_id))

        world.host.boot = boot
        with suppress(BaseException):
            self._start(run_id, world.client(client)).wait()
        saved = {key for key in world.objects() if key.startswith(f"runs/{run_id}/")}
        clock.sleep(1.0)
        return saved

    def _start(self, run_id: str, cloud: Any) -> Any:
        job = self._world.job(
            "crash",
            command=["sh", "-c", SAVE + "sleep 4"],
            max_hours=HOURS,
            spot={"attempts": 3},
        )
        options = Options(cloud="rehearsal", run_id=run_id)
        return start(prepare(job), cloud, options, silent)

    def _take(self, instance_id: str) -> None:
        world = self._world
        world.host.notice(instance_id, "terminate", world.emulated.clock.now() + 120)
        world.emulated.clock.call_after(120, lambda: world.emulated.machines.reclaim(instance_id))


@pytest.mark.proof
@pytest.mark.unsettled
@pytest.mark.timeout(7200)
def test_proof_crash_sweep(
    world: Any, death: Any, sweep: Callable[[Sequence[Any]], list[Any]]
) -> None:
    """Client, agent and guardian, each killed at each step, before and after it takes effect."""
    bench = Sweep(world, death)
    points = sweep(bench.points())
    leaks = []
    for number, point in enumerate(points, start=1):
        told = bench.survives(point)
        print(f"{number} of {len(points)}: {told or 'well'}", file=sys.stderr)
        leaks += [told] if told else []
    print(
        f"PROOF crash-sweep points={len(points)} leaks={len(leaks)} "
        f"max_overrun_s={max(bench.overrun, 0):.0f}"
    )
    assert not leaks, "\n".join(leaks[:5])
    assert bench.overrun <= SWEEP_S + MARGIN_S
