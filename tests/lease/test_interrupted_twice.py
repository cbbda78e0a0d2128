"""A run that EC2 interrupts twice: it succeeds, and its receipt counts what each cost."""

from __future__ import annotations

from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.launch.account import lost_work_s
from flyback.launch.progress import silent

BEATS_S = 35.0  # how often the agent gives a sign of life, at the latest
AFTER_S = (290, 210)


def interrupt(world: Any, run: Any, number: int, after: float, *, notice: bool) -> float:
    """Let an attempt work for so long, then take its machine: with a notice, or at once.

    Returns:
        For how long it had computed since its last save.
    """
    clock = world.cloud.clock
    machine = ""
    for _ in range(60):
        attempts = run._records.launch().attempts
        began = [e for e in run._records.events(number) if e.kind == "cell-started"]
        if began and len(attempts) == number:
            machine = attempts[-1].instance_id
            clock.sleep(max(began[0].at + after - clock.now(), 1.0))
            break
        clock.sleep(15)
    assert machine
    if notice:
        world.host.notice(machine, "terminate", clock.now() + 120)
        clock.sleep(120)
    world.emulated.machines.reclaim(machine)
    events = run._records.events(number)
    saved = [e.detail["taken_at"] for e in events if e.kind == "checkpoint-committed"]
    return float(clock.now() - max([began[0].at, *saved]))


@pytest.mark.parametrize("notices", [(False, False), (True, False)])
@pytest.mark.usefixtures("quick")
def test_two_interruptions_and_both_losses(world: Any, notices: tuple[bool, bool]) -> None:
    """SUCCESS on the third machine; with a notice the job saves in time, without one it loses."""
    options = Options(cloud="rehearsal", run_id="twice")
    fields = {"command": ["sleep", "900"], "spot": {"attempts": 4}, "max_hours": 2}
    run = start(prepare(world.job("twice", **fields)), world.client(), options, silent)
    computed = [
        interrupt(world, run, number, AFTER_S[number - 1], notice=notices[number - 1])
        for number in (1, 2)
    ]
    marker = run.wait()
    assert (marker.kind, marker.attempt) == ("SUCCESS", 3)
    first, second, third = run.launch.attempts
    assert first.end_reason == second.end_reason == "Server.SpotInstanceTermination"
    assert third.end_reason != first.end_reason
    losses = [lost_work_s(run._records, numbers) for numbers in ([1, 2], [2, 3])]
    for lost, since, notice in zip(losses, computed, notices, strict=True):
        assert (0 <= lost < 1) if notice else (since - BEATS_S <= lost <= since)
    receipt = run.receipt()
    assert receipt.usage.lost_work_s == pytest.approx(sum(losses))
    assert receipt.usage.lost_work_s == lost_work_s(run._records, [1, 2, 3])
    certificate = run.certificate()
    assert certificate.clean
    ours, theirs = [check for check in certificate.checks if check.source == "ledger"]
    assert (ours.left, theirs.left) == ((), ())
    made = {entry.operation for entry in guardians(run)}
    assert made == {"CreateFleet", "CreateSchedule"}
    assert theirs.seen == 4  # two machines, and the schedule of each


def guardians(run: Any) -> list[Any]:
    """What the guardian's ledger holds of a run."""
    from flyback.launch.guardian.ledger import entries

    return list(entries(run._records.remote, run.run_id))
