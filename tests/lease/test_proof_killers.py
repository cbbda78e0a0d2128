"""Whichever of the killers is left alone ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.launch.progress import silent

HOUR = 0.25  # of max_hours: fifteen minutes
SWEEP_S = 900.0


def no_timer(world: Any) -> None:
    world.host.timers = False


def no_guardian(world: Any) -> None:
    world.emulated.functions.broken = lambda name: name.endswith("-guardian")


def no_schedules(world: Any) -> None:
    world.emulated.timetable.lost = lambda schedule: schedule.once


def no_sweep(world: Any) -> None:
    world.emulated.timetable.lost = lambda schedule: not schedule.once


def no_direct_end(world: Any) -> None:
    """The schedule that terminates machines by itself is lost; the guardian's is not."""
    lost = world.emulated.timetable.lost
    world.emulated.timetable.lost = lambda schedule: "-machine-" in schedule.name or lost(schedule)


# What is broken → by when the run must be over, in seconds after its deadline.
SCENARIOS: dict[str, tuple[tuple[Callable[[Any], None], ...], float]] = {
    "only the machine's timer": ((no_guardian, no_schedules), 0),
    "only the direct schedule": ((no_timer, no_guardian), 60),
    "only the guardian's schedule": ((no_timer, no_sweep, no_direct_end), 60),
    "only the sweep": ((no_timer, no_schedules), SWEEP_S + 60),
    "guardian broken": ((no_guardian,), 0),
    "schedules lost": ((no_schedules,), 0),
    "operating system hung, schedules lost": ((no_timer, no_schedules), SWEEP_S + 60),
}


@pytest.mark.proof
@pytest.mark.unsettled
@pytest.mark.timeout(1800)
def test_proof_killers(world: Any) -> None:
    """A machine whose agent never comes up is ended in each scenario, in time, and alone."""
    ended, latest, problems, window = 0, 0.0, [], Window()
    for number, (name, (breaks, within)) in enumerate(SCENARIOS.items()):
        world.host.timers, world.host.dead_agent = True, True
        world.emulated.functions.broken = lambda _: False
        world.emulated.timetable.lost = lambda _: False
        for each in breaks:
            each(world)
        run_id = f"killer-{number}"
        # lost boots are the guardian's business only after 20 minutes: beyond this deadline
        job = world.job(run_id, max_hours=HOUR)
        options = Options(cloud="rehearsal", run_id=run_id)
        client = world.client()
        window.watch(client.session)
        run = start(prepare(job), client, options, silent)
        until = run.launch.deadline + within + 1
        world.cloud.clock.sleep(until - world.cloud.clock.now())
        overrun = world.overrun(run_id)
        states = [line for line in world.billing(run_id) if " " in line]
        ending = [line for line in states if not line.endswith("shutting-down")]
        if ending:
            problems.append(f"{name}: {ending}")
        else:
            ended += 1
            latest = max(latest, overrun)
        world.host.timers = True
        world.emulated.functions.broken = lambda _: False
        world.emulated.timetable.lost = lambda _: False
        world.cloud.clock.sleep(1800)
    print(
        f"PROOF killers scenarios={len(SCENARIOS)} ended={ended} max_overrun_s={latest:.0f} "
        f"window_s={window.longest:.2f}"
    )
    assert not problems, "\n".join(problems)
    assert 0 < window.longest < 60


class Window:
    """Real seconds from the request for a machine to the answer of its direct schedule.

    In between only the guardian's schedule, the machine's own timer and the sweep know of it.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._asked = 0.0

    def watch(self, session: Any) -> None:
        asked, armed = (session.client(name).meta.events for name in ("ec2", "scheduler"))
        asked.register_first("before-send.ec2.CreateFleet", self._begin)
        armed.register("response-received.scheduler.CreateSchedule", self._end)

    def _begin(self, **_: Any) -> None:
        self._asked = time.perf_counter()

    def _end(self, **_: Any) -> None:
        if self._asked:
            self.longest = max(self.longest, time.perf_counter() - self._asked)
            self._asked = 0.0
