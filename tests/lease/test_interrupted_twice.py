"""A run that EC2 interrupts twice: it succeeds, and its receipt counts what each cost."""

from __future__ import annotations

from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.launch.account import lost_work_s
from flyback.launch.progress import silent

SAVES_S = 60.0  # how often the job keeps its place, up to 10 s late
AFTER_S = (225, 150)  # so that each machine goes well after a save and well before the next


def interrupt(world: Any, run: Any, number: int, after: float, *, notice: bool) -> None:
    """Let an attempt work for so long, then take its machine: with a notice, or at once."""
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


@pytest.mark.parametrize("notices", [(False, False), (True, False)])
@pytest.mark.usefixtures("quick")
def test_two_interruptions_and_both_losses(world: Any, notices: tuple[bool, bool]) -> None:
    """SUCCESS on the third machine; with a notice the job saves in time, without one it loses."""
    options = Options(cloud="rehearsal", run_id="twice")
    fields = {"command": ["sleep", "900"], "spot": {"attempts": 4}, "max_hours": 2}
    run = start(prepare(world.job("twice", **fields)), world.client(), options, silent)
    for number, (after, notice) in enumerate(zip(AFTER_S, notices, strict=True), start=1):
        interrupt(world, run, number, after, notice=notice)
    marker = run.wait()
    assert (marker.kind, marker.attempt) == ("SUCCESS", 3)
    first, second, third = run.launch.attempts
    assert first.end_reason == second.end_reason == "Server.SpotInstanceTermination"
    assert third.end_reason != first.end_reason
    losses = [lost_work_s(run._records, numbers) for numbers in ([1, 2], [2, 3])]
    for lost, notice in zip(losses, notices, strict=True):  # what came after the last checkpoint
        assert (0 <= lost < 1) if notice else (5 < lost <= SAVES_S)
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
