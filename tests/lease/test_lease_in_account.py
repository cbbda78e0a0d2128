"""The lease in a whole account: an ordinary run, an interrupted one, an extended one."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.errors import UserError
from flyback.launch.lease import arm_machine
from flyback.launch.progress import silent
from flyback.plan.costs import hourly_usd
from flyback.rehearsal.ec2.images import register
from flyback.rehearsal.moto_state import backend
from flyback.spec.launch import Place
from flyback.spec.paths import LeasePaths

OPTIONS = Options(cloud="rehearsal")


def launch(world: Any, name: str, **fields: Any) -> Any:
    """Launch a job under its own name as run id."""
    options = dataclasses.replace(OPTIONS, run_id=name)
    return start(prepare(world.job(name, **fields)), world.client(), options, silent)


def at(world: Any, name: str) -> dict[str, str]:
    """When each of a run's schedules fires."""
    scheduler = world.emulated.clients("scheduler", "us-east-1", "inventory")
    found = scheduler.list_schedules()["Schedules"]
    return {
        item["Name"].removeprefix(f"{name}-"): scheduler.get_schedule(
            Name=item["Name"], GroupName=item["GroupName"]
        )["ScheduleExpression"]
        for item in found
        if item["Name"].startswith(name)
    }


def test_a_run_is_armed_twice_and_released(world: Any) -> None:
    """Two schedules at the deadline while it runs; none, and no document, when it is home."""
    run = launch(world, "plain")
    armed = at(world, "plain")
    assert set(armed) == {"deadline", "machine-1"}
    (told,) = set(armed.values())
    late = datetime.strptime(told, "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC).timestamp()
    assert late % 60 == 0  # it may fire anywhere in a minute: in none that the deadline lies in
    assert 0 <= late - run.launch.deadline < 60
    assert "leases/plain/launch.json" in world.objects()
    assert run.wait().kind == "SUCCESS"
    assert world.kept("plain") == []
    certificate = run.certificate()
    assert certificate.clean
    assert world.billing() == []


def test_an_interrupted_run_goes_on_without_the_laptop(world: Any) -> None:
    """Notice, INTERRUPTED, reclaim, a second machine elsewhere, SUCCESS: nobody watches."""
    run = launch(world, "taken", command=["sh", "-c", "sleep 4"], spot={"attempts": 2})
    machine = run.launch.attempts[0].instance_id
    world.cloud.clock.sleep(60)
    world.host.notice(machine, "terminate", world.cloud.clock.now() + 120)
    world.emulated.clock.call_after(120, lambda: world.emulated.machines.reclaim(machine))
    world.cloud.clock.sleep(1500)
    marker = run.wait()
    assert (marker.kind, marker.attempt) == ("SUCCESS", 2)
    first, second = run.launch.attempts
    assert first.end_reason == "Server.SpotInstanceTermination"
    assert (first.instance_type, first.zone) != (second.instance_type, second.zone)
    assert run.certificate().clean
    assert run.receipt().usage.lost_work_s >= 0


def test_an_extension_moves_everything(world: Any) -> None:
    """Both schedules, the tag, and the machine's own timer by way of the agent."""
    run = launch(world, "longer", command=["sh", "-c", "sleep 9"], max_hours=0.5)
    before = at(world, "longer")
    world.cloud.clock.sleep(120)
    run.extend(0.25)
    after = at(world, "longer")
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    machine = world.host.all[run.launch.attempts[0].instance_id]
    assert int(machine.tags()["flyback:deadline"]) == run.launch.deadline
    world.cloud.clock.sleep(120)
    run.stop()
    with pytest.raises(UserError, match="the run is over"):
        run.extend(1)


def test_a_fast_laptop_does_not_delay_the_repair(world: Any) -> None:
    """A move that was cut off is as old as S3 says, whatever the clock of who began it says."""
    run = launch(world, "fast", command=["sh", "-c", "sleep 9"], max_hours=1.5)
    key = LeasePaths("fast").extension
    note = {"at": world.cloud.clock.now() + 86400, "from": run.launch.deadline, "to": 0}
    s3 = world.emulated.clients("s3", "us-east-1", "inventory")
    bucket = "flyback-outputs-123456789012-us-east-1"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(note).encode())
    assert key in world.objects()
    world.cloud.clock.sleep(300 + 900 + 60)
    assert key not in world.objects()
    run.stop()


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_schedules_end_machines_in_any_partition(partition: str) -> None:
    """The call is that of the partition that the schedule's role is in."""
    asked: list[Any] = []
    schedules = SimpleNamespace(put=lambda wanted, _: asked.append(wanted))
    role = f"arn:{partition}:iam::123456789012:role/ender"
    place = Place(group="g", terminate_role=role)
    arm_machine(SimpleNamespace(schedules=schedules), place, ("r", 1, "i-1"), 90.5)  # type: ignore[arg-type]  # all that is used
    assert asked[0].target == f"arn:{partition}:scheduler:::aws-sdk:ec2:terminateInstances"


def test_an_extension_beyond_what_is_paid_for_is_refused(world: Any) -> None:
    """`max_usd` stays the limit, with the arithmetic."""
    run = launch(world, "dear", command=["sh", "-c", "sleep 9"], max_hours=0.5, max_usd=0.3)
    with pytest.raises(UserError, match="max_usd"):
        run.extend(20)
    run.stop()


def test_a_days_runs_share_a_cap(world: Any) -> None:
    """What others of the day may cost binds the next: as its deadline, then as a refusal."""
    capped = dataclasses.replace(OPTIONS, max_usd_per_day=0.2, run_id="first-of-day")
    hours = {"max_hours": 0.25, "resources": {"count": 0, "any_of": ["c5.xlarge"]}}
    job = prepare(world.job("first-of-day", **hours))
    first = start(job, world.client(), capped, silent)
    second = dataclasses.replace(capped, run_id="second-of-day")
    longer = prepare(world.job("second-of-day", **{**hours, "max_hours": 9}))
    run = start(longer, world.client(), second, silent)
    assert run.plan.deadline_reason.startswith("max_usd_per_day $0.2 less $")
    assert run.plan.deadline_hours < 1
    third = dataclasses.replace(capped, run_id="third-of-day")
    with pytest.raises(UserError, match=r"max_usd_per_day \$0.2 less .* pays for"):
        start(longer, world.client(), third, silent)
    assert world.kept("third-of-day") == []
    for each in (first, run):
        each.wait()


def test_a_run_that_reaches_its_money_ends_by_the_lease(world: Any) -> None:
    """The receipt stays below `max_usd` and what one sweep period costs."""
    world.host.dead_agent = True
    one = {"count": 0, "any_of": ["c5.xlarge"]}
    run = launch(world, "spent", max_hours=9, max_usd=0.04, resources=one)
    assert run.plan.deadline_reason.startswith("max_usd")
    marker = run.wait()
    assert marker.kind == "FAILURE"
    on_demand = run.plan.candidates[0].on_demand_usd_hour
    assert run.receipt().total_usd <= 0.04 + on_demand / 4
    assert run.certificate().clean


def with_roots_of(gib: int) -> None:
    """Let every image of the account have so large a root volume."""
    register("us-east-1")
    for image in backend("ec2", "us-east-1").amis.values():
        image._root_gib = gib
        image.ebs_snapshot.volume.size = gib


@pytest.mark.usefixtures("pretended")
def test_the_lease_pays_for_the_disk_that_is_bought(world: Any) -> None:
    """On demand, with a root far larger than asked, and the sweep alone: the cap, and one period.

    The image's root costs more than the machine here: a lease by `disk_gib` would end far too late.
    """
    with_roots_of(16_000)
    world.host.dead_agent, world.host.timers = True, False
    world.emulated.timetable.lost = lambda schedule: schedule.once
    one = {"count": 0, "any_of": ["c5.xlarge"], "disk_gib": 8}
    dear = {"attempts": 0, "then": "on-demand"}
    run = launch(world, "rooted", max_hours=9, max_usd=0.45, resources=one, spot=dear)
    assert run.plan.root_gib == 16_000
    assert run.plan.ceiling_usd <= 0.45
    with pytest.raises(UserError, match="max_usd"):
        run.extend(0.1)
    run.wait()
    receipt = run.receipt()
    overrun = world.overrun("rooted")
    assert 0 < overrun <= 900 + 120
    assert receipt.usage.disk_gib == 16_000
    per_hour = hourly_usd(run.plan.candidates[0], disk_gib=16_000, image_bytes=0)
    assert 0.45 - per_hour / 60 < receipt.total_usd <= 0.45 + per_hour * 900 / 3600


@pytest.mark.usefixtures("pretended")
def test_a_receipt_counts_hours_past_the_deadline(world: Any) -> None:
    """All killers lost, and the system goes off three hours late: EC2 gives no time for its end.

    The receipt goes by when it was first seen gone, not by when it should have been.
    """
    world.host.dead_agent, world.host.timers = True, False
    world.emulated.timetable.lost = lambda _: True
    run = launch(world, "late", max_hours=0.25, spot={"attempts": 0, "then": "on-demand"})
    began, machine = run.launch.created_at, run.launch.attempts[-1].instance_id
    world.cloud.clock.sleep(run.launch.deadline + 3 * 3600 - world.cloud.clock.now())
    world.emulated.machines.power_off(machine)
    ended = world.cloud.clock.now()
    world.cloud.clock.sleep(60)
    run.wait()
    hours = (ended - began) / 3600
    assert run.receipt().usage.hours == pytest.approx(hours, abs=120 / 3600)
