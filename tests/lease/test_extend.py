"""A later deadline: all of it or nothing, said as it is, and followed by the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from test_two_at_once import HOUR, START, Account, _attempt, _launch, launch

from flyback import api
from flyback.cli.extend import command
from flyback.errors import FlybackError, LeftoversError, ServiceError
from flyback.launch.extend import confirmed, extend, movable
from flyback.launch.lease import held, hold
from flyback.launch.records import Records
from flyback.spec.codec import dumps
from flyback.spec.event import Event
from flyback.spec.paths import RunPaths
from flyback.store.memory import MemoryStore

LATER = START + 2 * HOUR


class Shaky:
    """A run and its account of which one call fails: before it takes effect, or after."""

    def __init__(self, k: int = 0, *, late: bool = False, lasting: bool = False) -> None:
        self.store, self.account = MemoryStore(), Account()
        hold(self.store, "r", lambda _: _launch(_attempt(1, instance_id="i-1")))
        self.account.tags["i-1"] = str(int(START + HOUR))
        self.account.at = dict.fromkeys(("r-deadline", "r-machine-1"), int(START + HOUR))
        self.records = Records("r", self.store, self.store)
        self.calls = 0
        clock: Any = SimpleNamespace(now=lambda: START + 60)
        self.current, self.clock = movable("r", self.records, clock), clock

        def shaken(call: Callable[..., Any]) -> Callable[..., Any]:
            def shaky(*given: Any, **named: Any) -> Any:
                self.calls += 1
                fails = k and (self.calls == k or (lasting and self.calls > k))
                if fails and not late:
                    raise ServiceError("InternalError: no answer")
                answer = call(*given, **named)
                if fails:
                    raise ServiceError("InternalError: no answer")
                return answer

            return shaky

        for part, names in (
            (self.account.ec2, ("instances", "tag")),
            (self.account.schedules, ("get", "update", "put")),
            (self.store, ("put", "get", "stat", "delete")),
        ):
            for name in names:
                setattr(part, name, shaken(getattr(part, name)))

    def extend(self) -> Any:
        session: Any = self.account
        return extend(session, self.current, LATER, self.records, self.clock)

    def says(self) -> set[float]:
        """Every deadline that stands somewhere."""
        self.store.get = MemoryStore.get.__get__(self.store)  # type: ignore[method-assign]
        there = held(self.store, "r")
        assert there is not None
        killers = {float(at) for at in self.account.at.values()}
        return killers | {float(text) for text in self.account.tags.values()} | {there.deadline}


@pytest.mark.parametrize("late", [False, True])
def test_who_extends_is_told_where_the_deadline_stands(late: bool) -> None:  # noqa: FBT001  # drawn
    """One call of all fails: a failure is told where nothing moved, and nowhere else."""
    plain = Shaky()
    plain.extend()
    wrong = []
    for k in range(1, plain.calls + 1):
        shaky = Shaky(k, late=late)
        told = None
        try:
            shaky.extend()
        except FlybackError as error:
            told = error
        if shaky.says() != {START + HOUR if told else LATER}:
            wrong.append((k, told, shaky.says()))
    assert plain.calls > 10
    assert wrong == []


def test_what_nobody_knows_is_not_said() -> None:
    """S3 answers nothing any more, up to the write that decides: neither moved nor not."""
    plain = Shaky()
    plain.extend()
    decides = plain.calls - 2  # the run's own copy of the launch, and the end of the note
    for k in range(2, decides + 1):
        shaky = Shaky(k, late=True, lasting=True)
        with pytest.raises(LeftoversError, match="whether the deadline has moved can't be asked"):
            shaky.extend()
    assert decides > 8
    assert Shaky(decides + 1, late=True, lasting=True).extend().deadline == LATER


@pytest.mark.parametrize("k", [1, 2, 3])
def test_who_is_told_that_nothing_moved_is_told_the_truth(k: int) -> None:
    """The tag can't be set, then a read of what is held fails: all is put back, or it is said."""
    shaky, reads = Shaky(), []
    tag, get = shaky.account.ec2.tag, shaky.store.get

    def fails_once(*_: Any) -> None:
        shaky.account.ec2.tag = tag
        raise ServiceError("InternalError: no tag")

    def read(key: str) -> Any:
        if shaky.account.at["r-machine-1"] == LATER:
            reads.append(key)
            if len(reads) == k:
                raise ServiceError("InternalError: no read")
        return get(key)

    shaky.account.ec2.tag = fails_once
    shaky.store.get = read  # type: ignore[method-assign]
    with pytest.raises(FlybackError) as caught:
        shaky.extend()
    assert isinstance(caught.value, LeftoversError) or shaky.says() == {START + HOUR}


def test_a_move_is_confirmed_by_the_machine_itself() -> None:
    """By the event that tells this deadline, of this attempt, within a minute and a half."""
    store, now = MemoryStore(), [START]
    records = Records("r", store, store)
    moved = dataclasses.replace(_launch(_attempt(1, instance_id="i-1")), deadline=LATER)

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > START + 40:
            told = [Event(at=now[0], kind="extended", attempt=1, detail={"deadline": LATER})]
            lines = "".join(dumps(event) + "\n" for event in told)
            store.put(RunPaths("r").attempt(1).events, lines.encode())

    clock: Any = SimpleNamespace(now=lambda: now[0], sleep=sleep)
    assert confirmed(moved, records, clock)
    assert now[0] - START < 60
    later = dataclasses.replace(moved, deadline=LATER + 60)
    began = now[0]
    assert not confirmed(later, records, clock)
    assert 60 < now[0] - began < 120


@pytest.mark.parametrize(
    ("follows", "sentence"),
    [
        (True, "the machine's own timer has moved too"),
        (False, "the machine has not confirmed yet that its own timer has moved"),
    ],
)
def test_the_command_says_whether_the_machine_follows(
    monkeypatch: pytest.MonkeyPatch,
    follows: bool,  # noqa: FBT001  # drawn
    sentence: str,
) -> None:
    """First where the deadline stands, then, within a minute and a half, what the machine says."""
    run = SimpleNamespace(
        run_id="r", extend=lambda hours: f"{hours:g} more", is_followed=lambda: follows
    )
    monkeypatch.setattr(api, "open_run", lambda *_, **__: run)
    shown = CliRunner().invoke(command, ["r", "--hours", "2"])
    assert shown.exit_code == 0
    assert shown.output.startswith("r: 2 more\n")
    assert sentence in shown.output


@pytest.mark.usefixtures("quick")
def test_a_timer_that_does_not_move_is_said_and_tried_again(world: Any) -> None:
    """The agent plans by the old deadline until the machine's own timer has taken in the new."""
    run = launch(world, "stuck", command=["sleep", "1200"], max_hours=0.5)
    world.cloud.clock.sleep(120)
    world.host.stuck_timers = True
    run.extend(0.25)
    assert not run.is_followed()
    world.host.stuck_timers = False
    world.cloud.clock.sleep(90)
    (told,) = [event for event in run._records.events(1) if event.kind == "extended"]
    assert told.detail["deadline"] == run.launch.deadline
    run.extend(0.25)
    assert run.is_followed()
    run.stop()


@pytest.mark.usefixtures("quick")
def test_a_deadline_that_moves_during_boot_reaches_the_timer(world: Any) -> None:
    """The timer was set by the old tag, the agent reads the new launch: it sets the timer anew."""
    run = launch(world, "booting", command=["sleep", "2400"], max_hours=0.5)
    clock, old = world.cloud.clock, run.launch.deadline
    clock.sleep(5)
    machine = world.host.all[run.launch.attempts[0].instance_id]
    arm = machine.arm

    def boots() -> None:
        """User-data looked at its tag before it moved."""
        machine.arm, machine.armed = arm, old
        machine.timer = world.host.clock.call_at(old, machine.power_off)

    machine.arm = boots
    run.extend(0.5)
    assert run.is_followed()
    assert run.wait().kind == "SUCCESS"
    assert machine.armed == run.launch.deadline == old + HOUR / 2
