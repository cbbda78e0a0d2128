"""Whichever of the killers is left alone ends the run."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flyback.api.faults import read_fault
from flyback.api.job import prepare
from flyback.api.verbs import Options, deploy, start
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.launch.progress import silent
from flyback.rehearsal.strict import arm

HOUR = 0.25  # of max_hours: fifteen minutes
SWEEP_S = 900.0
SCHEDULE_S = 120.0  # told the next whole minute, fires somewhere in it


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
    "only the direct schedule": ((no_timer, no_guardian), SCHEDULE_S),
    "only the guardian's schedule": ((no_timer, no_sweep, no_direct_end), SCHEDULE_S),
    "only the sweep": ((no_timer, no_schedules), SWEEP_S + 60),
    "guardian broken": ((no_guardian,), 0),
    "schedules lost": ((no_schedules,), 0),
}

# Machines that run the real user-data and agent: faults → by when, and whether EC2 must have been
# told to skip the system's shutdown, for which it waits twenty minutes otherwise.
ACTED_OUT: dict[str, tuple[tuple[str, ...], float, bool]] = {
    "operating system hung, only the sweep": (
        ("os-hung", "schedules-lost:one-time"),
        SWEEP_S + 160,
        True,
    ),
    "operating system hung, only the guardian's schedule": (
        ("os-hung", "schedules-lost:recurring"),
        SCHEDULE_S + 100,
        True,
    ),
    "rebooted, only the machine's timer": (
        ("reboot:at=300s", "guardian-broken", "schedules-lost"),
        0,
        False,
    ),
}


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_proof_killers(world: Any, tmp_path: Path) -> None:
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
    world.emulated.stop()  # one at a time
    for number, name in enumerate(ACTED_OUT):
        with real(tmp_path / f"real-{number}") as cloud:
            problem = acted_out(cloud, f"acted-{number}", name)
        problems += [f"{name}: {problem}"] if problem else []
        ended += not problem
    print(
        f"PROOF killers scenarios={len(SCENARIOS) + len(ACTED_OUT)} ended={ended} "
        f"max_overrun_s={latest:.0f} window_s={window.longest:.2f}"
    )
    assert not problems, "\n".join(problems)
    assert 0 < window.longest < 60


@contextmanager
def real(folder: Path) -> Iterator[Cloud]:
    """A deployed account whose machines and functions are processes."""
    cloud = start_rehearsal(folder, region="us-east-1", factor=120.0)
    assert cloud.emulated is not None
    try:
        cloud.emulated.reclaims._factor = 0.0  # EC2 takes no machine back
        deploy(cloud, Options(cloud="rehearsal"), silent)
        yield cloud
    finally:
        cloud.emulated.stop()


def acted_out(cloud: Cloud, run_id: str, name: str) -> str:
    """Let a machine meet these faults; what is wrong a while after its deadline."""
    faults, within, skipped = ACTED_OUT[name]
    emulated: Any = cloud.emulated
    outcomes = []
    for text in faults:
        fault = read_fault(text, "us-east-1")
        outcomes.append(arm(emulated, fault.kind, dataclasses.asdict(fault)))
    skips: list[bool] = []
    terminate = emulated.machines.terminate

    def noted(instance: Any, *reason: Any, skip_os_shutdown: bool = False) -> Any:
        skips.append(skip_os_shutdown)
        return terminate(instance, *reason, skip_os_shutdown=skip_os_shutdown)

    emulated.machines.terminate = noted
    path = local_home() / f"{run_id}.json"
    job = {
        "name": run_id,
        "command": ["sleep", "3600"],
        "resources": {"count": 0, "any_of": ["c5.xlarge"]},
        "engine": "ec2",
        "max_hours": HOUR,
    }
    path.write_text(json.dumps(job))
    run = start(prepare(path), cloud, Options(cloud="rehearsal", run_id=run_id), silent)
    cloud.clock.sleep(run.launch.deadline + within + 1 - cloud.clock.now())
    ec2 = emulated.clients("ec2", "us-east-1", "inventory")
    groups = ec2.describe_instances()["Reservations"]
    machines = [item for group in groups for item in group["Instances"]]
    states = {item["State"]["Name"] for item in machines}
    if not states or not states <= {"shutting-down", "terminated"}:
        return f"its machines are {sorted(states)}"
    if not outcomes[0]():  # what is lost may never have been due
        return f"{faults[0]} did not act"
    if skipped:
        return "" if states == {"terminated"} and True in skips else f"{states}, skips: {skips}"
    reasons = {item["StateReason"]["Code"] for item in machines}
    return "" if reasons == {"Client.InstanceInitiatedShutdown"} else f"ended by {reasons}"


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
