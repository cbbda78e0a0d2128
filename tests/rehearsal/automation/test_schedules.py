"""Scheduler: schedules fire within their minute, as their role, once or again and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.middleware.faults import Fault

TERMINATE = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
OFF = {"Mode": "OFF"}


def at(seconds: float) -> str:
    """A one-time expression."""
    return f"at({datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S})"


@pytest.fixture
def scheduler(client: Callable[[str], Any]) -> Any:
    return client("scheduler")


@pytest.fixture
def machine(client: Callable[[str], Any]) -> str:
    """Id of a machine that runs."""
    image = client("ssm").get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    )["Parameter"]["Value"]
    launched = client("ec2").run_instances(
        ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1
    )
    return str(launched["Instances"][0]["InstanceId"])


def _state(client: Callable[[str], Any], machine: str) -> str:
    found = client("ec2").describe_instances(InstanceIds=[machine])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def test_a_schedule_ends_a_machine_as_its_role(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    scheduler: Any,
    role: Callable[[str, str], str],
    machine: str,
    passing: Callable[[float], None],
) -> None:
    """The universal target is called within a minute of its time; then the schedule is gone."""
    due = cloud.clock.now() + 3600
    scheduler.create_schedule_group(Name="flyback-x")
    arn = scheduler.create_schedule(
        Name="end-run-1",
        GroupName="flyback-x",
        ScheduleExpression=at(due),
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": TERMINATE,
            "RoleArn": role("ender", "scheduler"),
            "Input": json.dumps({"InstanceIds": [machine]}),
        },
    )["ScheduleArn"]
    assert arn == "arn:aws:scheduler:us-east-1:123456789012:schedule/flyback-x/end-run-1"
    passing(3599)
    assert _state(client, machine) == "running"
    passing(61)
    assert _state(client, machine) in ("shutting-down", "terminated")
    (fired,) = cloud.timetable.fired
    assert 0 <= fired.at - due < 60
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name="end-run-1", GroupName="flyback-x")
    calls = [e for e in cloud.journal.entries() if e.operation == "TerminateInstances"]
    assert calls[0].principal == "arn:aws:sts::123456789012:assumed-role/ender/end-run-1"


def test_a_rate_invokes_at_once_and_again(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    function: Callable[..., Any],
    passing: Callable[[float], None],
) -> None:
    """Every 15 minutes from its creation, asynchronously, with the input that it was given."""
    target = function("sweep", "def handle(event, context): return event")["FunctionArn"]
    given = {
        "Name": "sweep",
        "ScheduleExpression": "rate(15 minutes)",
        "FlexibleTimeWindow": OFF,
        "Target": {
            "Arn": target,
            "RoleArn": role("caller", "scheduler"),
            "Input": '{"flyback": "sweep", "when": "<aws.scheduler.scheduled-time>"}',
        },
    }
    scheduler.create_schedule(**given)
    passing(3600)
    results = [json.loads(done.result) for done in cloud.functions.done]
    assert [result["when"] for result in results] == [
        f"2026-01-05T12:{minute:02}:00Z" for minute in (0, 15, 30, 45)
    ]
    scheduler.update_schedule(**{**given, "State": "DISABLED"})
    passing(3600)
    assert len(cloud.functions.done) == 4
    scheduler.delete_schedule(Name="sweep")


def test_an_update_moves_a_schedule(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    machine: str,
    passing: Callable[[float], None],
) -> None:
    """Only the latest time counts; the default group holds what names none."""
    begin = cloud.clock.now()
    given = {
        "Name": "end",
        "FlexibleTimeWindow": OFF,
        "Target": {
            "Arn": TERMINATE,
            "RoleArn": role("ender", "scheduler"),
            "Input": json.dumps({"InstanceIds": [machine]}),
        },
    }
    scheduler.create_schedule(ScheduleExpression=at(begin + 600), **given)
    scheduler.update_schedule(ScheduleExpression=at(begin + 1200), **given)
    passing(1500)
    assert [fired.due - begin for fired in cloud.timetable.fired] == [1200]
    found = scheduler.get_schedule(Name="end")
    assert (found["GroupName"], found["ActionAfterCompletion"]) == ("default", "NONE")
    assert found["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 185
    assert [item["Name"] for item in scheduler.list_schedules()["Schedules"]] == ["end"]


def test_what_fails_for_a_while_is_tried_again(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    machine: str,
    passing: Callable[[float], None],
) -> None:
    """Server errors and throttling are retried with backoff; a refusal is not."""
    cloud.faults.add(
        Fault(service="ec2", operation="TerminateInstances", calls=(1,)),
        Fault(service="ec2", operation="TerminateInstances", calls=(2,), drop=True),
    )
    target = {
        "Arn": TERMINATE,
        "RoleArn": role("ender", "scheduler"),
        "Input": json.dumps({"InstanceIds": [machine]}),
    }
    wrong = {**target, "Input": '{"InstanceIds": ["i-00000000000000000"]}'}
    when = at(cloud.clock.now() + 60)
    for name, whom in (("right", target), ("wrong", wrong)):
        scheduler.create_schedule(
            Name=name, ScheduleExpression=when, FlexibleTimeWindow=OFF, Target=whom
        )
    passing(300)
    errors = {"right": [], "wrong": []}
    for fired in cloud.timetable.fired:
        errors[fired.schedule.rpartition("/")[2]].append(fired.error)
    assert errors["wrong"] == ["InvalidInstanceID.NotFound"]
    assert errors["right"][-1] == ""
    assert len(errors["right"]) in (2, 3)


def test_tokens_names_and_mistakes(scheduler: Any, role: Callable[[str, str], str]) -> None:
    """Equal tokens give equal answers; everything else that is wrong is said in AWS's codes."""
    good = {
        "Name": "end",
        "ScheduleExpression": "at(2026-02-01T00:00:00)",
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": TERMINATE, "RoleArn": role("ender", "scheduler")},
        "ClientToken": "t1",
    }
    first, second = (scheduler.create_schedule(**good)["ScheduleArn"] for _ in range(2))
    assert first == second
    refused: list[tuple[str, dict[str, Any]]] = [
        ("ConflictException", {"ClientToken": "t2"}),
        ("ConflictException", {"Description": "another"}),
        ("ResourceNotFoundException", {"GroupName": "no", "ClientToken": "t3"}),
        ("ValidationException", {"ScheduleExpression": "at(tomorrow)", "ClientToken": "t4"}),
        ("ValidationException", {"ScheduleExpression": "rate(1 minutes)", "ClientToken": "t5"}),
        (
            "ValidationException",
            {
                "ClientToken": "t6",
                "Target": {**good["Target"], "RoleArn": role("other", "ec2")},
            },
        ),
        (
            "ValidationException",
            {
                "ClientToken": "t7",
                "Target": {
                    **good["Target"],
                    "Arn": "arn:aws:scheduler:::aws-sdk:ec2:describeInstances",
                },
            },
        ),
        ("NotEmulated", {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}, "ClientToken": "t8"}),
    ]
    for code, changes in refused:
        with pytest.raises(ClientError) as caught:
            scheduler.create_schedule(**{**good, **changes})
        assert caught.value.response["Error"]["Code"] == code, changes
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.delete_schedule(Name="nobody")


def test_what_has_passed_never_fires(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    passing: Callable[[float], None],
) -> None:
    """A time that is over is taken and does nothing: nobody may count on more."""
    scheduler.create_schedule(
        Name="late",
        ScheduleExpression=at(cloud.clock.now() - 60),
        FlexibleTimeWindow=OFF,
        Target={"Arn": TERMINATE, "RoleArn": role("ender", "scheduler")},
    )
    passing(86400)
    assert cloud.timetable.fired == ()


def test_seconds_of_a_time_do_not_count(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    machine: str,
    passing: Callable[[float], None],
) -> None:
    """Somewhere from the start of its minute, so early too; a whole minute is never early."""
    begin = cloud.clock.now() // 60 * 60 + 600
    ender = role("ender", "scheduler")
    for number in range(24):
        scheduler.create_schedule(
            Name=f"end-{number}",
            ScheduleExpression=at(begin + 30 * (number % 2)),
            FlexibleTimeWindow=OFF,
            Target={
                "Arn": TERMINATE,
                "RoleArn": ender,
                "Input": json.dumps({"InstanceIds": [machine]}),
            },
        )
    passing(900)
    off: dict[int, list[float]] = {0: [], 30: []}
    for fired in cloud.timetable.fired:
        off[int(fired.due - begin)].append(fired.at - fired.due)
    assert len(off[0]) == len(off[30]) == 12
    assert min(off[0]) >= 0
    assert -30 <= min(off[30]) < 0


def test_groups_carry_tags_and_take_their_schedules_along(
    scheduler: Any, role: Callable[[str, str], str]
) -> None:
    """Made once, tagged, listed; deleted with all that is in them; the default one stays."""
    arn = scheduler.create_schedule_group(Name="g", Tags=[{"Key": "a", "Value": "1"}])[
        "ScheduleGroupArn"
    ]
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name="g")
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    scheduler.create_schedule(
        Name="end",
        GroupName="g",
        ScheduleExpression="at(2026-02-01T00:00:00)",
        ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow=OFF,
        Target={"Arn": TERMINATE, "RoleArn": role("ender", "scheduler")},
    )
    assert len(scheduler.list_schedules(GroupName="g")["Schedules"]) == 1
    scheduler.delete_schedule_group(Name="g")
    assert scheduler.list_schedules()["Schedules"] == []
    names = [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]]
    assert names == ["default"]
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.delete_schedule_group(Name="default")


def test_lost_schedules_never_fire(
    cloud: RehearsalCloud,
    scheduler: Any,
    role: Callable[[str, str], str],
    passing: Callable[[float], None],
) -> None:
    """A rehearsal can lose any of them."""
    cloud.timetable.lost = lambda schedule: schedule.once
    scheduler.create_schedule(
        Name="end",
        ScheduleExpression=at(cloud.clock.now() + 60),
        FlexibleTimeWindow=OFF,
        Target={"Arn": TERMINATE, "RoleArn": role("ender", "scheduler")},
    )
    passing(3600)
    assert cloud.timetable.fired == ()
