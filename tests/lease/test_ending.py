"""Machines that do not end: pressed once they could save, each minute anew, never forgotten."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.errors import AccessDeniedError, LeftoversError, ServiceError
from flyback.infra import templates
from flyback.launch.leftovers import orphans, reap
from flyback.launch.progress import silent
from flyback.launch.teardown import down, terminate_and_wait

OPTIONS = Options(cloud="rehearsal")
SAVING_S = 180.0  # more than the agent's service has for its end
SOON_S = SAVING_S + 120.0  # the press, and EC2's own time to end a machine


class Account:
    """EC2 whose machines end when they are pressed so often, and which may refuse."""

    def __init__(self, presses: int = 1) -> None:
        self.time = 0.0
        self.presses = presses
        self.asked: list[tuple[float, str, bool]] = []
        self.refuses: dict[str, Exception] = {}
        self.said: list[str] = []
        self.ec2 = self

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def instance(self, instance_id: str) -> Any:
        pressed = sum(at_once for _, name, at_once in self.asked if name == instance_id)
        gone = pressed >= self.presses
        return SimpleNamespace(state="terminated" if gone else "shutting-down")

    def terminate(self, instance_ids: tuple[str, ...], *, at_once: bool = False) -> None:
        for name in instance_ids:
            if name in self.refuses:
                raise self.refuses[name]
            self.asked.append((self.time, name, at_once))

    def end(self, *machines: str) -> None:
        account: Any = self
        terminate_and_wait(account, machines, account, lambda _, text: self.said.append(text))


def hung(world: Any, name: str, **fields: Any) -> Any:
    """A run whose machine's system no longer shuts down."""
    options = dataclasses.replace(OPTIONS, run_id=name)
    job = prepare(world.job(name, command=["sleep", "1200"], **fields))
    run = start(job, world.client(), options, silent)
    world.cloud.clock.sleep(200)
    world.host.hung = True
    world.emulated.machines.hang(run.launch.attempts[0].instance_id, frozen=False)
    return run


@pytest.mark.usefixtures("quick")
def test_stop_presses_a_system_that_hangs(world: Any) -> None:
    """Its machine is gone within minutes, with receipt and certificate."""
    run = hung(world, "hung")
    began = world.cloud.clock.now()
    marker = run.stop()
    assert (marker.kind, marker.reason) == ("INTERRUPTED", "stopped")
    assert world.cloud.clock.now() - began < SOON_S
    assert world.billing() == []
    assert run.receipt().total_usd > 0
    assert run.certificate().clean


@pytest.mark.usefixtures("quick")
def test_down_presses_a_system_that_hangs(world: Any) -> None:
    """The deployment goes although one of its machines would not."""
    hung(world, "hung")
    client, began = world.client(), world.cloud.clock.now()
    down(client.session, "flyback", client.clock)
    ended = world.host.ended.values()
    assert max(ended) - began < SOON_S
    assert world.billing() == []


@pytest.mark.usefixtures("quick")
def test_reap_presses_a_system_that_hangs(world: Any) -> None:
    """Past its deadline, with nothing else left that could end it."""
    world.host.timers, world.host.dead_agent = False, True
    world.emulated.functions.broken = lambda _: True
    world.emulated.timetable.lost = lambda _: True
    run = hung(world, "late", max_hours=0.25)
    machine, client = run.launch.attempts[0].instance_id, world.client()
    client.clock.sleep(run.launch.deadline + 10 - client.clock.now())
    found = orphans(client.session, "flyback", client.clock)
    assert found.machines == (machine,)
    began = client.clock.now()
    assert reap(client.session, found, client.clock) == ()
    assert client.clock.now() - began < SOON_S
    assert world.billing() == []


def test_a_machine_is_pressed_each_minute() -> None:
    """Asked once, given the time to save, pressed until it goes; each press is said."""
    account = Account(presses=3)
    account.end("i-1")
    assert account.asked == [
        (0, "i-1", False),
        (SAVING_S, "i-1", True),
        (SAVING_S + 60, "i-1", True),
        (SAVING_S + 120, "i-1", True),
    ]
    assert sum("i-1 has not ended" in text for text in account.said) == 3


def test_a_system_has_the_time_that_its_agent_needs() -> None:
    """No press while the agent's service may still save, and its marker go up."""
    (stop_s,) = re.findall(r"TimeoutStopSec=(\d+)", templates.read("core"))
    account = Account()
    account.end("i-1")
    pressed = [at for at, _, at_once in account.asked if at_once]
    assert min(pressed) > int(stop_s)


def test_a_first_request_that_is_refused_is_made_again_politely() -> None:
    """Throttled once: its system has heard nothing yet, and gets its time to save."""
    account = Account()
    account.refuses = {"i-1": ServiceError("RequestLimitExceeded")}
    sleep = account.sleep

    def passes(seconds: float) -> None:
        sleep(seconds)
        account.refuses = {} if account.time > 30 else account.refuses

    account.sleep = passes  # type: ignore[method-assign]
    account.end("i-1")
    assert account.asked == [(60, "i-1", False), (60 + SAVING_S, "i-1", True)]
    assert sum("has not ended" in text for text in account.said) == 1


def test_who_may_not_look_has_ended_it_all_the_same() -> None:
    """Nobody knows how it stands: not told as an end that was refused, and not given up at once."""
    account = Account()

    def unseen(_: str) -> Any:
        raise AccessDeniedError("ec2:DescribeInstances is not allowed")

    account.instance = unseen  # type: ignore[method-assign]
    with pytest.raises(LeftoversError, match=r"i-1 \(ec2:DescribeInstances is not allowed\)"):
        account.end("i-1")
    assert account.time >= 900
    assert not [text for text in account.said if "can't be ended" in text]


def test_a_machine_that_never_ends_is_named_with_its_command() -> None:
    """After 15 minutes; those beside it are gone, and not named."""
    account = Account(presses=1)
    account.refuses = {"i-2": ServiceError("OperationNotPermitted: termination protection")}
    with pytest.raises(LeftoversError) as caught:
        account.end("i-1", "i-2", "i-3")
    assert 900 <= account.time < 960
    assert caught.value.what == (
        "still not terminated: i-2 (OperationNotPermitted: termination protection)"
    )
    assert caught.value.remedy == "aws ec2 terminate-instances --instance-ids i-2"
    assert {name for _, name, _ in account.asked} == {"i-1", "i-3"}
    assert "i-2 can't be ended: OperationNotPermitted: termination protection" in account.said


def test_who_may_not_end_a_machine_is_told_at_once() -> None:
    """Waiting would change nothing; the others were asked, and what is missing is said."""
    account = Account(presses=0)
    account.refuses = {"i-1": AccessDeniedError("not authorized", remedy="ask for the right")}
    account.instance = lambda name: SimpleNamespace(  # type: ignore[method-assign]
        state="running" if name == "i-1" else "terminated"
    )
    with pytest.raises(LeftoversError, match=r"i-1 \(not authorized\)") as caught:
        account.end("i-1", "i-2")
    assert account.time == 0
    assert [name for _, name, _ in account.asked] == ["i-2"]
    assert "ask for the right" in caught.value.remedy
