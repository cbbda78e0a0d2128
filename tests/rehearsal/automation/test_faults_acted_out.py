"""Failures that a user can ask for: each takes one killer away, or gives it work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.api.faults import read_fault
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.market import Conditions
from flyback.rehearsal.strict import arm
from flyback.spec.codec import encode

TIMER = "#!/bin/bash\nshutdown -P +2\necho up >>$FLYBACK_ROOT/boots\n"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RehearsalCloud]:
    """With machines that run."""
    held = RehearsalCloud(tmp_path, seed=7)
    held.conditions = Conditions.calm()
    with held as cloud:
        yield cloud


@pytest.fixture
def launch(client: Callable[[str], Any]) -> Callable[..., str]:
    """Launches a machine that shuts down two minutes after its first boot; its id."""

    def make(**options: Any) -> str:
        name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
        image = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        launched = client("ec2").run_instances(
            ImageId=image,
            InstanceType="g4dn.xlarge",
            MinCount=1,
            MaxCount=1,
            UserData=TIMER,
            InstanceInitiatedShutdownBehavior="terminate",
            **options,
        )
        return str(launched["Instances"][0]["InstanceId"])

    return make


@pytest.fixture
def state(client: Callable[[str], Any]) -> Callable[[str], str]:
    """State of a machine."""

    def ask(machine: str) -> str:
        found = client("ec2").describe_instances(InstanceIds=[machine])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    return ask


def _arm(cloud: RehearsalCloud, text: str) -> None:
    fault = read_fault(text, cloud.region)
    assert str(fault).startswith(fault.kind)
    arm(cloud, fault.kind, encode(fault))


def test_a_sound_machine_goes_off(
    launch: Callable[..., str], state: Callable[[str], str], passing: Callable[[float], None]
) -> None:
    """What the faults below take away: the timer ends the machine."""
    machine = launch()
    passing(1800)
    assert state(machine) == "terminated"


def test_a_machine_that_ignores_shutdown(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    launch: Callable[..., str],
    state: Callable[[str], str],
    passing: Callable[[float], None],
) -> None:
    """Its timer does nothing; EC2 waits long for it, unless told to skip its shutdown."""
    _arm(cloud, "os-hung")
    machine, other = launch(), launch()
    passing(1800)
    assert state(machine) == "running"
    for each, skip in ((machine, False), (other, True)):
        client("ec2").terminate_instances(InstanceIds=[each], SkipOsShutdown=skip)
    passing(60)
    assert (state(machine), state(other)) == ("shutting-down", "terminated")
    client("ec2").terminate_instances(InstanceIds=[machine], SkipOsShutdown=True)
    passing(60)
    assert state(machine) == "terminated"
    ends = [e for e in cloud.bus.emitted if e["detail"]["state"] == "terminated"]
    assert len(ends) == 2


def test_a_machine_that_freezes(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    state: Callable[[str], str],
    passing: Callable[[float], None],
) -> None:
    """From then on it does nothing at all, its timer included."""
    _arm(cloud, "os-hung:at=100s")
    machine = launch()
    passing(1800)
    assert state(machine) == "running"
    assert "hung" in [event["what"] for event in cloud.records()[machine]["events"]]


def test_a_machine_that_reboots(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    state: Callable[[str], str],
    passing: Callable[[float], None],
) -> None:
    """The timer is lost, and user-data does not run again."""
    _arm(cloud, "reboot:at=100s")
    machine = launch()
    passing(1800)
    assert state(machine) == "running"
    boots = [event["what"] for event in cloud.records()[machine]["events"]]
    assert boots.count("boot") == 2


def test_the_first_spot_machine_is_taken_back(
    cloud: RehearsalCloud,
    launch: Callable[..., str],
    state: Callable[[str], str],
    passing: Callable[[float], None],
) -> None:
    """Once where it is said once; a machine at the full price is nobody's to take."""
    _arm(cloud, "interrupt:at=10s,times=1")
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    full, first, second = launch(), launch(**spot), launch(**spot)
    passing(20)
    warned = [e for e in cloud.bus.emitted if "Interruption" in e["detail-type"]]
    assert [event["detail"]["instance-id"] for event in warned] == [first]
    passing(135)
    assert [state(machine) for machine in (full, second)] == ["running", "running"]
    assert state(first) in ("shutting-down", "terminated")


def test_what_is_lost_and_broken(cloud: RehearsalCloud) -> None:
    """Each fault takes exactly one thing away."""
    for text in ("guardian-broken", "events-lost", "schedules-lost:recurring"):
        _arm(cloud, text)
    assert cloud.functions.broken("flyback-guardian")
    assert not cloud.functions.broken("somebody-else")
    assert cloud.bus.lost({})
