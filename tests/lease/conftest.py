"""A deployed account in this process: real client, agent and guardian, each of which can die."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import dying
import pytest
import rooms
import thread_machines
from copies import Copies, Line

from flyback.agent import finish, supervise
from flyback.agent.journal import Journal
from flyback.api import launching
from flyback.api.verbs import Options, deploy
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.aws.ledger import FileLedger
from flyback.launch import watch
from flyback.launch.progress import silent

OPTIONS = Options(cloud="rehearsal")
REGION = "us-east-1"


@dataclass
class World:
    """The account, its machines and its guardian."""

    cloud: Cloud
    host: Any
    rooms: Any
    folder: Path
    line: Any

    @property
    def emulated(self) -> Any:
        return self.cloud.emulated

    def client(self, death: Any = None) -> Cloud:
        """One process of the command line; earlier ones are over."""
        ledger = FileLedger(self.cloud.ledger.path, self.cloud.clock)
        session = self.line.session(death or dying.Death(), ledger)
        return dataclasses.replace(self.cloud, session=session, ledger=ledger)

    def job(self, name: str, **fields: Any) -> Path:
        """A job file."""
        path = self.folder / f"{name}.json"
        document = {
            "name": name,
            "command": ["sh", "-c", "echo working; echo '{\"a\": 1}'"],
            "resources": {"count": 0, "any_of": ["c5.xlarge", "m6i.xlarge"]},
            "engine": "ec2",
            "max_hours": 0.5,
            **fields,
        }
        path.write_text(json.dumps(document))
        return path

    def billing(self, run_id: str = "") -> list[str]:
        """What still bills, of one run or of all."""
        ec2 = self.emulated.clients("ec2", REGION, "inventory")
        found = []
        for group in ec2.describe_instances()["Reservations"]:
            for item in group["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
                if item["State"]["Name"] != "terminated" and run_id in tags["flyback:run-id"]:
                    found.append(f"{item['InstanceId']} {item['State']['Name']}")
        found += [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]]
        return found

    def kept(self, run_id: str) -> list[str]:
        """Schedules and lease documents of a run."""
        scheduler = self.emulated.clients("scheduler", REGION, "inventory")
        names = [item["Name"] for item in scheduler.list_schedules()["Schedules"]]
        found = [name for name in names if name.startswith(run_id)]
        return found + [key for key in self.objects() if key.startswith(f"leases/{run_id}/")]

    def objects(self) -> dict[str, str]:
        """Everything in the outputs bucket: key → entity tag."""
        s3 = self.emulated.clients("s3", REGION, "inventory")
        bucket = f"flyback-outputs-123456789012-{REGION}"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def overrun(self, run_id: str, deadline: float | None = None) -> float:
        """Seconds that the latest machine of a run outlived its deadline; below zero: none did.

        Args:
            run_id: The run.
            deadline: The one that holds; None takes what each machine's tag says.
        """
        ec2 = self.emulated.clients("ec2", REGION, "inventory")
        filters = [{"Name": "tag:flyback:run-id", "Values": [run_id]}]
        late = [-1.0]
        for group in ec2.describe_instances(Filters=filters)["Reservations"]:
            for item in group["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
                ended = self.host.ended.get(item["InstanceId"], self.cloud.clock.now())
                holds = int(tags["flyback:deadline"]) if deadline is None else deadline
                late.append(ended - holds)
        return max(late)


@contextmanager
def deployed(folder: Path) -> Iterator[World]:
    """A world with flyback in it."""
    # what the agent does per second of a job is done in a twentieth of it
    cloud = start_rehearsal(local_home() / "rehearsal", region=REGION, factor=20.0)
    assert cloud.emulated is not None
    try:
        host = thread_machines.Host(cloud.emulated, folder / "machines")
        cloud.emulated.machines.host = host
        cloud.emulated.reclaims._factor = 0.0  # EC2 takes machines back when the test says so
        functions = rooms.Rooms(cloud, cloud.emulated.workshop)
        cloud.emulated.functions._workshop = functions
        deploy(cloud, OPTIONS, silent)
        yield World(cloud, host, functions, folder, Line(cloud))
    finally:
        cloud.emulated.stop()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A deployed account; botocore's pauses between attempts take no time."""
    still = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", still)
    tell: Callable[..., None] = Journal.tell

    with deployed(tmp_path) as found:

        def mortal(self: Journal, kind: Any, /, **detail: Any) -> None:
            try:
                found.host.death.before()
                tell(self, kind, **detail)
                found.host.death.after()
            except dying.KilledThread as killed:
                raise dying.Killed from killed  # which the agent's own last resort does not catch

        monkeypatch.setattr(Journal, "tell", mortal)
        yield found


@pytest.fixture
def quick(pretended: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Besides, nobody looks at what this computer is."""
    del pretended
    monkeypatch.setattr(finish, "facts", lambda *_: {})


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs take simulated time alone; what is alike each time is done once, or less often."""
    monkeypatch.setattr(supervise, "Child", thread_machines.Pretended)
    bundle = launching.build(local_home() / "bundles")
    monkeypatch.setattr(launching, "build", lambda _: bundle)
    monkeypatch.setattr(watch, "_CLOUD_POLL_S", 30.0)


@pytest.fixture
def copies(world: World) -> Any:
    """Processes that go on from the world as it stands."""
    return Copies(world.cloud)


@pytest.fixture
def death() -> Any:
    """A way to die."""
    return dying.Death
