"""A receipt that is made anew when EC2 has forgotten the machine: hours, not days."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from test_ending import hung
from test_two_at_once import HOUR, START, _attempt, _launch, _stop

from flyback.launch.account import machine_uses
from flyback.launch.records import Records
from flyback.store.memory import MemoryStore

DAYS = 48 * HOUR


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_stopped_is_collected_days_later(world: Any) -> None:
    """Its agent is dead and its system hung: the hours of that day, give or take the minutes."""
    world.host.dead_agent = True
    run = hung(world, "days-later")
    run.stop()
    before = run.receipt().usage.hours
    world.cloud.clock.sleep(DAYS)
    assert run._cloud.session.ec2.instance(run.launch.attempts[0].instance_id) is None
    run.collect()
    assert run.receipt().usage.hours == pytest.approx(before, abs=300 / HOUR)


def test_a_machine_without_a_word_ended_with_its_run() -> None:
    """Stopped by a laptop that knew of attempt 1 alone; nothing says when the second one ended."""
    store = MemoryStore()
    records = Records("r", store, store)
    second = _attempt(2, instance_id="i-2", instance_type="c5.xlarge", launched_at=START + 30)
    _stop(store)
    session: Any = SimpleNamespace(ec2=SimpleNamespace(instance=lambda _: None))
    clock: Any = SimpleNamespace(now=lambda: START + DAYS)
    (use,) = machine_uses(session, _launch(_attempt(1), second), records, clock)
    assert 0 < use.hours * HOUR < 300
