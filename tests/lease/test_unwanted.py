"""A run that ends while its next machine is asked for: the machine is wanted by nobody."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from test_decide import MACHINE
from test_two_at_once import Account, _attempt, _launch, _stop

from flyback.errors import ServiceError
from flyback.launch.guardian.tend import tend
from flyback.launch.lease import held, hold, release
from flyback.launch.records import Records
from flyback.store.memory import MemoryStore

RUN_TAGS = {"flyback:run-id": "r", "flyback:attempt": "2"}


@pytest.fixture
def store() -> MemoryStore:
    """The deployment's bucket."""
    return MemoryStore()


@pytest.mark.parametrize("released", [False, True])
def test_a_run_that_is_stopped_while_a_machine_is_asked_for_has_none(
    store: MemoryStore,
    released: bool,  # noqa: FBT001  # drawn
) -> None:
    """The machine is handed over to be ended; nothing is held again, and nothing stays armed."""
    launch = _launch(_attempt(1, instance_id="i-1"))
    hold(store, "r", lambda _: launch)
    account = Account()

    def stopped() -> None:
        _stop(store)
        if released:
            release(account, store, "g", "r", 1)  # type: ignore[arg-type]  # all that it asks

    account.meanwhile = stopped
    guard, ends = _guarded(account, store)
    tend(guard, "r", ends)
    assert ends.asked == ["i-r-1"]
    assert (held(store, "r") is None) == released
    account.tags.clear()  # it has gone
    tend(guard, "r", ends)
    assert held(store, "r") is None
    assert account.at == {}
    noted = Records("r", store, store).launch()
    assert noted is not None
    assert noted.attempts[-1].instance_id == "i-r-1"


@pytest.mark.parametrize("released", [False, True])
def test_an_unwanted_machine_is_ended_whatever_else_fails(
    store: MemoryStore,
    released: bool,  # noqa: FBT001  # drawn
) -> None:
    """S3 takes no note of it, Scheduler answers nothing: it is asked all the same, and armed."""
    hold(store, "r", lambda _: _launch(_attempt(1, instance_id="i-1")))
    account: Any = Account()
    put = store.put

    def refuses(key: str, *given: Any, **named: Any) -> str:
        if key.startswith("runs/"):
            raise ServiceError("SlowDown")
        return put(key, *given, **named)

    def fails(*_: Any) -> None:
        raise ServiceError("ThrottlingException")

    def stopped() -> None:
        _stop(store)
        if released:
            release(account, store, "g", "r", 1)
        store.put = refuses  # type: ignore[method-assign]
        account.schedules.delete = fails

    account.meanwhile = stopped
    guard, ends = _guarded(account, store)
    tend(guard, "r", ends)
    assert ends.asked == ["i-r-1"]
    assert set(account.at) == (set() if released else {"r-machine-2"})


def _guarded(account: Any, store: MemoryStore) -> tuple[Any, Any]:
    """A guardian that looks at a run whose machine was taken away, and what it ends."""
    gone = dataclasses.replace(MACHINE, state="terminated", reason="Server.SpotInstanceTermination")
    living = account.ec2.instances
    account.ec2.instances = lambda *given: [
        dataclasses.replace(MACHINE, instance_id=item.instance_id, tags=RUN_TAGS)
        for item in living(*given)
    ]
    account.ec2.instance = lambda name: gone if name == "i-1" else None
    account.ec2.subnets = lambda _: ()
    account.region = "us-east-1"
    guard = account.guard(store)
    guard.name, guard.topic = "flyback", ""
    ends = SimpleNamespace(asked=[])

    def ask(_: str, machines: tuple[str, ...], why: str) -> bool:
        assert why
        ends.asked += machines
        return True

    ends.ask = ask
    return guard, ends
