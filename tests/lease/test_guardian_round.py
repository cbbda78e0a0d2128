"""One call of the guardian: nobody waits for another's machine, or for another's document."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest
from test_decide import LAUNCH, MACHINE, START

from flyback.aws.ec2 import Instance
from flyback.errors import ServiceError
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.handler import serve
from flyback.spec.codec import dumps
from flyback.spec.event import Marker
from flyback.spec.launch import Place
from flyback.spec.paths import LeasePaths, RunPaths
from flyback.store.memory import MemoryStore

LATE = LAUNCH.deadline + 100
SWEEP = {"flyback": "sweep"}


class Account:
    """EC2 whose machines take their time to end, and Scheduler without schedules."""

    def __init__(self, takes_s: float) -> None:
        self.time = LATE
        self.takes_s = takes_s
        self.machines: dict[str, Instance] = {}
        self.asked: list[tuple[float, str, bool]] = []
        self.refused: set[str] = set()
        self.unpressed: set[str] = set()
        self.told: list[str] = []
        self.region = "us-east-1"
        self.ec2 = self.schedules = self.topics = self

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def instance(self, instance_id: str) -> Instance:
        first = [at for at, name, _ in self.asked if name == instance_id]
        machine = self.machines[instance_id]
        if not first:
            return machine
        gone = self.time - first[0] >= self.takes_s
        return dataclasses.replace(
            machine,
            state="terminated" if gone else "shutting-down",
            reason="Client.UserInitiatedShutdown",
        )

    def instances(self, tag: str, value: str = "*") -> tuple[Instance, ...]:
        found = [self.instance(name) for name in self.machines]
        return tuple(item for item in found if value in ("*", item.tags[tag]))

    def terminate(self, instance_ids: tuple[str, ...], *, at_once: bool = False) -> None:
        for name in instance_ids:
            if name in self.refused or (at_once and name in self.unpressed):
                raise ServiceError("RequestLimitExceeded", where=name)
            self.asked.append((self.time, name, at_once))

    def publish(self, topic: str, subject: str, text: str) -> None:
        self.told.append(f"{topic} {subject} {text}")

    def delete(self, group: str, name: str) -> None:
        """There is none."""


class World:
    """A deployment whose runs are all past their deadline."""

    def __init__(self, runs: int, takes_s: float = 30.0) -> None:
        self.account: Any = Account(takes_s)
        self.store = MemoryStore("guarded")
        self.runs = [f"run-{number}" for number in range(runs)]
        for run_id in self.runs:
            machine = f"i-{run_id}"
            tags = {**MACHINE.tags, "flyback:run-id": run_id}
            tags["flyback:deadline"] = str(int(LAUNCH.deadline))
            self.account.machines[machine] = dataclasses.replace(
                MACHINE, instance_id=machine, tags=tags
            )
            launch = dataclasses.replace(LAUNCH, run_id=run_id)
            self.store.put(LeasePaths(run_id).launch, dumps(launch).encode())

    def guard(self) -> Guard:
        return Guard(
            name="flyback",
            store=self.store,
            stored_by=SimpleNamespace(),  # type: ignore[arg-type]  # not asked here
            session=self.account,
            clock=self.account,
            topic="t",
            place=Place(group="g", terminate_role="arn:aws:iam::1:role/r"),
            until=self.account.time + 300,
        )

    def held(self) -> list[str]:
        return [run for run in self.runs if list(self.store.list(f"{LeasePaths(run).prefix}/"))]


def test_slow_machines_do_not_wait_for_each_other() -> None:
    """All are asked before one is waited for; those that hang are pressed together, and in time."""
    world = World(runs=8, takes_s=90)
    serve(world.guard(), SWEEP)
    polite = [at for at, _, at_once in world.account.asked if not at_once]
    assert polite == [LATE] * 8
    assert sum(at_once for _, _, at_once in world.account.asked) == 8
    assert world.account.time - LATE < 120
    assert world.held() == []


def test_a_machine_that_never_ends_is_told_and_asked_again() -> None:
    """The call ends before Lambda ends it, says so, and the next sweep asks anew."""
    world = World(runs=4, takes_s=1e9)
    for sweep in (1, 2):
        guard = world.guard()
        serve(guard, SWEEP)
        assert world.account.time < guard.until - 30
        assert sum("the next sweep tries again" in text for text in world.account.told) == 4 * sweep
        assert sum(not at_once for _, _, at_once in world.account.asked) == 4 * sweep
    assert world.held() == world.runs


def test_a_function_with_little_time_left_asks_all_the_same() -> None:
    """Whatever is left of its time, every machine is asked, and nothing is waited for beyond."""
    world = World(runs=3, takes_s=90)
    guard = dataclasses.replace(world.guard(), until=LATE + 65)
    serve(guard, SWEEP)
    assert len(world.account.asked) == 3
    assert world.account.time < LATE + 65


def test_a_refused_end_does_not_keep_others_running() -> None:
    """Throttled for one machine: the others end, and the call fails so that Lambda repeats it."""
    world = World(runs=3)
    world.account.refused = {"i-run-0"}
    with pytest.raises(ServiceError, match="RequestLimitExceeded"):
        serve(world.guard(), SWEEP)
    assert {name for _, name, _ in world.account.asked} == {"i-run-1", "i-run-2"}
    assert world.held() == ["run-0"]
    (told,) = [text for text in world.account.told if "i-run-0" in text]
    assert "RequestLimitExceeded" in told
    assert "aws ec2 terminate-instances --instance-ids i-run-0" in told


def test_a_refused_end_is_asked_again_within_the_call() -> None:
    """Throttled once: a minute later it ends, nobody is told of a failure, the call succeeds."""
    world = World(runs=2)
    world.account.refused = {"i-run-0"}
    sleep = world.account.sleep

    def passes(seconds: float) -> None:
        sleep(seconds)
        if world.account.time - LATE > 30:
            world.account.refused = set()

    world.account.sleep = passes
    serve(world.guard(), SWEEP)
    assert world.held() == []
    assert not [text for text in world.account.told if "can't be ended" in text]


def test_a_refused_press_is_told() -> None:
    """Its system hangs, and EC2 will not skip it: each sweep says which machine, and fails."""
    world = World(runs=2, takes_s=1e9)
    world.account.unpressed = {"i-run-0"}
    with pytest.raises(ServiceError, match="RequestLimitExceeded"):
        serve(world.guard(), SWEEP)
    (told,) = [text for text in world.account.told if "i-run-0 can't be ended" in text]
    assert "aws ec2 terminate-instances --instance-ids i-run-0" in told
    pressed = [at - LATE for at, name, at_once in world.account.asked if at_once]
    assert pressed == [60, 120, 180]
    assert world.held() == world.runs


def test_a_machine_that_cannot_be_seen_is_not_told_as_refused() -> None:
    """EC2 took the request and then describes nothing: the words and the failure say which."""
    world = World(runs=1)
    instance = world.account.instance

    def unseen(instance_id: str) -> Instance:
        if world.account.asked:
            raise ServiceError("RequestLimitExceeded")
        return instance(instance_id)  # type: ignore[no-any-return]

    world.account.instance = unseen
    with pytest.raises(ServiceError, match="RequestLimitExceeded"):
        serve(world.guard(), SWEEP)
    (told,) = [text for text in world.account.told if "i-run-0" in text]
    assert "was told to end" in told
    assert "can't be ended" not in told


@pytest.mark.parametrize("what", ["a marker of the machine's", "a newer launch", "no JSON"])
def test_what_cannot_be_read_concerns_its_run_alone(what: str) -> None:
    """Others are looked after; the machine ends by its tag; the failure is not kept quiet."""
    world = World(runs=3)
    key = LeasePaths("run-0").launch
    if what == "a marker of the machine's":
        world.store.put(RunPaths("run-0").marker, b"{}")
    elif what == "a newer launch":
        newer = {**json.loads(world.store.get(key)), "tomorrow": 1}
        world.store.put(key, json.dumps(newer).encode())
    else:
        world.store.put(key, b"\xff")
    for event in (SWEEP, {"flyback": "deadline", "run_id": "run-0"}):
        with pytest.raises(ValueError, match=r"missing|unknown|decode"):
            serve(world.guard(), event)
    assert world.held() == ["run-0"]
    assert {name for _, name, _ in world.account.asked} == set(world.account.machines)


def test_at_its_deadline_a_run_ends_whatever_is_written() -> None:
    """The schedule's call alone: the machine goes by its tag, others' machines do not."""
    world = World(runs=2)
    world.store.put(LeasePaths("run-0").launch, b"{}")
    with pytest.raises(ValueError, match="missing"):
        serve(world.guard(), {"flyback": "deadline", "run_id": "run-0"})
    assert [name for _, name, _ in world.account.asked] == ["i-run-0"]


def test_news_of_a_machine_passes_unreadable_launches_by() -> None:
    """Tags fade after the end: the run is found by what was written down, beside what is broken."""
    world = World(runs=2)
    world.store.put(LeasePaths("run-0").launch, b"{}")
    bare = dataclasses.replace(MACHINE, tags={}, state="terminated", reason="")
    world.account.machines = {"i-1": bare}
    world.account.instances = lambda *_: ()
    launch = json.loads(world.store.get(LeasePaths("run-1").launch))
    launch["attempts"] = [
        {"number": 1, "token": "t", "market": "spot", "instance_id": "i-1", "region": "us-east-1"}
    ]
    world.store.put(LeasePaths("run-1").launch, json.dumps(launch).encode())
    detail = {"instance-id": "i-1", "state": "terminated"}
    event = {"detail-type": "EC2 Instance State-change Notification", "detail": detail}
    done = serve(world.guard(), event)
    assert list(done) == ["run-1"]


def test_a_marker_waits_for_the_end_of_the_machine() -> None:
    """The agent has the last word while its machine shuts down."""
    world = World(runs=1, takes_s=40)
    launch = json.loads(world.store.get(LeasePaths("run-0").launch))
    launch["attempts"] = [
        {"number": 1, "token": "t", "market": "spot", "instance_id": "i-run-0", "asked_at": START}
    ]
    world.store.put(LeasePaths("run-0").launch, json.dumps(launch).encode())
    theirs = Marker(
        run_id="run-0", attempt=1, kind="FAILURE", exit_code=3, reason="exit", log_tail="", at=LATE
    )
    sleep = world.account.sleep

    def speaks(seconds: float) -> None:
        sleep(seconds)
        data = dumps(theirs).encode()
        world.store.put(RunPaths("run-0").attempt(1).marker, data)

    world.account.sleep = speaks
    serve(world.guard(), SWEEP)
    marker = json.loads(world.store.get(RunPaths("run-0").marker))
    assert (marker["reason"], marker["exit_code"]) == ("exit", 3)
    assert world.held() == []
