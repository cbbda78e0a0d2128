"""EventBridge: EC2 tells of its machines, rules pass it on to functions that allow it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

STATES = "EC2 Instance State-change Notification"
WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"


@pytest.fixture
def told(
    cloud: RehearsalCloud, client: Callable[[str], Any], function: Callable[..., Any]
) -> Callable[..., Callable[[], list[dict[str, Any]]]]:
    """Makes a rule to a function that returns its event; what that function was told so far."""
    arn = function("listener", "def handle(event, context): return event")["FunctionArn"]

    def make(pattern: dict[str, Any], *, allowed: bool = True) -> Callable[[], list[Any]]:
        events = client("events")
        rule = events.put_rule(Name="r", EventPattern=json.dumps(pattern))["RuleArn"]
        events.put_targets(Rule="r", Targets=[{"Id": "listener", "Arn": arn}])
        if allowed:
            client("lambda").add_permission(
                FunctionName="listener",
                StatementId="s",
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=rule,
            )
        return lambda: [json.loads(done.result) for done in cloud.functions.done]

    return make


@pytest.fixture
def launch(client: Callable[[str], Any]) -> Callable[..., str]:
    """Launches a machine; its id."""

    def make(**options: Any) -> str:
        name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
        image = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        launched = client("ec2").run_instances(
            ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1, **options
        )
        return str(launched["Instances"][0]["InstanceId"])

    return make


def test_every_state_of_a_machine_is_an_event(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    launch: Callable[..., str],
    told: Callable[..., Callable[[], list[dict[str, Any]]]],
    passing: Callable[[float], None],
) -> None:
    """From pending to terminated; the rule passes on only the states that it names."""
    heard = told(
        {"source": ["aws.ec2"], "detail-type": [STATES], "detail": {"state": ["terminated"]}}
    )
    machine = launch()
    passing(100)
    client("ec2").terminate_instances(InstanceIds=[machine])
    passing(100)
    states = [event["detail"]["state"] for event in cloud.bus.emitted]
    assert states == ["pending", "running", "shutting-down", "terminated"]
    (event,) = heard()
    assert event["detail"] == {"instance-id": machine, "state": "terminated"}
    assert event["resources"] == [f"arn:aws:ec2:us-east-1:123456789012:instance/{machine}"]
    assert event["account"] == "123456789012"
    assert event["time"].startswith("2026-01-05T12:0")


def test_a_stop_is_an_event(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    launch: Callable[..., str],
    passing: Callable[[float], None],
) -> None:
    """Stopping, stopped, and pending again."""
    machine = launch()
    passing(60)
    client("ec2").stop_instances(InstanceIds=[machine])
    passing(60)
    client("ec2").start_instances(InstanceIds=[machine])
    passing(60)
    states = [event["detail"]["state"] for event in cloud.bus.emitted]
    assert states == ["pending", "running", "stopping", "stopped", "pending", "running"]


def test_an_interruption_is_told_two_minutes_before(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    told: Callable[..., Callable[[], list[dict[str, Any]]]],
    passing: Callable[[float], None],
) -> None:
    """The market's reclaims warn on the machine and on the bus; a rebalance is another event."""
    heard = told({"source": ["aws.ec2"], "detail-type": [WARNING, REBALANCE]})
    machine = launch(InstanceMarketOptions={"MarketType": "spot"})
    passing(60)
    cloud.machines.warn(machine, "rebalance", cloud.clock.now())
    instance = cloud.machines._find(machine)
    at = cloud.clock.now() + 600
    cloud.reclaims.take(instance, at)
    passing(700)
    events = heard()
    assert [event["detail-type"] for event in events] == [REBALANCE, WARNING]
    assert events[1]["detail"] == {"instance-id": machine, "instance-action": "terminate"}
    warned = next(done for done in cloud.functions.done if WARNING in done.event)
    assert 0 < warned.at - (at - 120) < 5
    assert ("notice", machine, "terminate") in cloud.machines.host.asked


def test_a_function_must_allow_it(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    told: Callable[..., Callable[[], list[dict[str, Any]]]],
    passing: Callable[[float], None],
) -> None:
    """Without a permission for this rule the event is dropped, as on AWS."""
    heard = told({"source": ["aws.ec2"]}, allowed=False)
    launch()
    passing(3600)
    assert heard() == []
    denied = [entry for entry in cloud.journal.entries() if entry.operation == "Invoke"]
    assert {entry.error for entry in denied} == {"AccessDeniedException"}


def test_events_can_get_lost(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    told: Callable[..., Callable[[], list[dict[str, Any]]]],
    passing: Callable[[float], None],
) -> None:
    """Delivery is best effort; a rehearsal can lose each of them."""
    cloud.bus.lost = lambda event: event["detail"]["state"] == "pending"
    heard = told({"source": ["aws.ec2"]})
    launch()
    passing(60)
    assert [event["detail"]["state"] for event in heard()] == ["running"]


def test_own_events_and_what_is_not_emulated(
    client: Callable[[str], Any],
    told: Callable[..., Callable[[], list[dict[str, Any]]]],
    passing: Callable[[float], None],
) -> None:
    """PutEvents reaches rules, but not in AWS's name; scheduled rules and other targets don't."""
    events = client("events")
    heard = told({"source": ["mine"]})
    entries = [
        {"Source": "mine", "DetailType": "d", "Detail": '{"a": 1}'},
        {"Source": "aws.ec2", "DetailType": "d", "Detail": "{}"},
    ]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 1
    passing(10)
    assert [event["detail"] for event in heard()] == [{"a": 1}]
    with pytest.raises(ClientError, match="not emulated"):
        events.put_rule(Name="s", ScheduleExpression="rate(1 hour)")
    target = {"Id": "q", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}
    with pytest.raises(ClientError, match="not emulated"):
        events.put_targets(Rule="r", Targets=[target])
