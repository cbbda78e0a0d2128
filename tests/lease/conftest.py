"""A deployed account in this process: real client, agent and guardian, each of which can die.

The agent runs in a thread of its machine, the guardian in one of its function's; both by the
simulated clock, with the emulated services and the roles that the stack gives them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest

from flyback.agent import main as agent
from flyback.agent.journal import Journal
from flyback.agent.metadata import Metadata
from flyback.agent.options import Options as AgentOptions
from flyback.agent.services import Services
from flyback.api.verbs import Options, deploy
from flyback.api.wiring import Cloud, _emulated, start_rehearsal
from flyback.aws.session import Access, Session
from flyback.launch.guardian.guard import from_environment
from flyback.launch.guardian.handler import serve
from flyback.launch.progress import silent
from flyback.rehearsal.functions.environment import Outcome
from flyback.store.open import open_store

OPTIONS = Options(cloud="rehearsal")
REGION = "us-east-1"


class Killed(BaseException):
    """A process ends here, without any clean-up."""


class Off(BaseException):
    """The machine that this thread ran on is off."""


class KilledThread(Exception):  # noqa: N818  # the same, in a thread that others wait for
    """A thread of the process ends here."""


@dataclass
class Death:
    """When somebody dies: at its k-th step, before or after it takes effect.

    Args:
        k: Which step, from 1; 0: never.
        after: Whether the step takes effect.
    """

    k: int = 0
    after: bool = False
    steps: int = field(default=0, init=False)
    dead: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def before(self) -> None:
        with self._lock:
            self.steps += 1
            number = self.steps
        if self.dead or (number == self.k and not self.after):
            self._die()

    def behind(self) -> None:
        with self._lock:
            number = self.steps
        if self.dead or (number == self.k and self.after):
            self._die()

    def watch(self, session: Session) -> None:
        """Count every request of a session."""
        events = session._boto._session
        events.register("before-send", lambda **_: self.before())
        events.register("response-received", lambda **_: self.behind())

    def _die(self) -> None:
        self.dead = True
        if threading.current_thread() is threading.main_thread():
            raise Killed
        raise KilledThread


class Imds(Metadata):
    """What a machine of this process reads of itself."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("http://127.0.0.1:1")
        self._machine = machine

    def get(self, path: str) -> str | None:
        self._machine.check()
        if path.startswith("tags/instance/"):
            return self._machine.tags().get(path.removeprefix("tags/instance/"))
        return self._machine.answers.get(path)


class Machine:
    """An operating system whose agent is a thread."""

    def __init__(self, host: Host, instance_id: str) -> None:
        self.host = host
        self.instance_id = instance_id
        self.answers: dict[str, str] = {}
        self.off = False

    def check(self) -> None:
        """A machine that is off does nothing more."""
        if self.off:
            raise Off

    def tags(self) -> dict[str, str]:
        found = self.host.ec2.describe_instances(InstanceIds=[self.instance_id])
        instance = found["Reservations"][0]["Instances"][0]
        return {item["Key"]: item["Value"] for item in instance.get("Tags", [])}

    def arm(self) -> None:
        """The system's own timer, as `shutdown -P +N` counts: whole minutes downwards."""
        clock = self.host.clock
        deadline = int(self.tags()["flyback:deadline"])
        at = clock.now() + int(deadline - clock.now()) // 60 * 60
        if self.host.timers:
            clock.call_at(max(at, clock.now()), self.power_off)

    def power_off(self) -> None:
        if not self.off and not self.host.hung:
            self.host.machines.power_off(self.instance_id)

    def run(self, clock: Any) -> None:
        """User-data, then the agent."""
        tags = self.tags()
        self.arm()
        machine, death = self, self.host.death

        class Guarded:
            """The clock, which ends this thread where the machine is off."""

            def now(self) -> float:
                machine.check()
                return float(clock.now())

            def sleep(self, seconds: float) -> None:
                clock.sleep(seconds)
                machine.check()

            def wait(self, process: Any, seconds: float) -> bool:
                ended = bool(clock.wait(process, seconds))
                if machine.off:
                    process.kill()
                    process.wait()
                machine.check()
                return ended

            def signalled(self, process: Any) -> None:
                clock.signalled(process)

        number = int(tags["flyback:attempt"])
        services = Services(
            store=open_store(tags["flyback:store"], s3_client=self.host.s3),
            open_store=lambda url: open_store(url, s3_client=self.host.s3),
            logs=Sink,
            secret=lambda reference: reference,
            power_off=self.power_off,
            metadata=Imds(self),
            rearm=self.arm,
            environ={"PATH": "/usr/bin:/bin", "FLYBACK_DEATH": str(id(death))},
        )
        options = AgentOptions(
            run_id=tags["flyback:run-id"],
            store=tags["flyback:store"],
            attempt=number,
            root=self.host.folder / self.instance_id,
        )
        try:
            agent.run(options, services, Guarded())
        except (Off, KilledThread):
            return


class Sink:
    """A log group that takes every line."""

    def create_stream(self, group: str, stream: str) -> None:
        """Taken."""

    def put(self, group: str, stream: str, events: Any) -> None:
        """Taken."""


class Host:
    """Runs the machines of a world."""

    def __init__(self, cloud: Any, folder: Path) -> None:
        self.machines = cloud.machines
        self.clock = cloud.clock
        self.folder = folder
        self.ec2 = cloud.clients("ec2", REGION, "machine")
        self.s3 = cloud.clients("s3", REGION, "machine")
        self.all: dict[str, Machine] = {}
        self.ended: dict[str, float] = {}
        self.timers = True  # whether the machine's own timer works
        self.hung = False  # whether the system does not go off
        self.dead_agent = False  # whether the agent never comes up
        self.death = Death()  # of the next agents, counted in events

    def boot(self, instance_id: str, region: str) -> None:
        del region
        machine = self.all[instance_id] = Machine(self, instance_id)

        def begin() -> None:
            if machine.off:
                return
            if self.dead_agent:
                machine.arm()
                return
            self.clock.spawn(f"agent {instance_id}", machine.run)

        self.clock.call_after(45, begin)

    def halt(self, instance_id: str) -> None:
        if instance_id in self.all:
            self.all[instance_id].off = True
            self.ended.setdefault(instance_id, self.clock.now())

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """EC2 takes the machine back."""
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        self.all[instance_id].answers["spot/instance-action"] = json.dumps(
            {"action": action, "time": text}
        )


class Rooms:
    """Execution environments whose handler is a thread of this process."""

    def __init__(self, cloud: Any, real: Any) -> None:
        self._cloud = cloud
        self._real = real
        self.death = Death()

    def take(self, function: Any) -> Any:
        session = self._real._sessions.take(
            function.get("Role"),
            function.name,
            region=function.region,
            service="lambda",
            source_arn=function.arn,
        )
        return SimpleNamespace(
            session=session,
            alive=False,
            log_stream="here",
            lasts_until=session.ends_at,
            close=lambda: None,
            invoke=lambda request_id, event, holder=None: self._invoke(
                function, session, request_id, event, holder
            ),
        )

    def give_back(self, function: Any, environment: Any) -> None:
        """Thrown away."""

    def forget(self, arn: str) -> None:
        """Nothing is kept."""

    def interrupt(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing runs."""

    def _invoke(
        self, function: Any, session: Any, request_id: str, event: bytes, holder: Any
    ) -> Outcome:
        caller, clock = session.caller, self._cloud.clock.participant(f"lambda {request_id}")
        access = Access(
            region=function.region,
            endpoint=self._cloud.endpoint,
            access_key=caller.access_key,
            secret_key=caller.secret,
            session_token=caller.token,
        )
        clock.join()
        if holder is not None:
            holder.leave()
        try:
            guard = from_environment(function.environment, access, clock)
            self.death.watch(guard.session)
            self.death.watch(guard.stored_by)
            done = serve(guard, json.loads(event))
        except (KilledThread, Killed):
            return Outcome(payload=b"{}", error="Runtime.ExitError")
        except Exception as error:  # noqa: BLE001  # as Lambda does
            text = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
            return Outcome(payload=text.encode(), error="Unhandled")
        finally:
            if holder is not None:
                holder.join()
            clock.leave()
        return Outcome(payload=json.dumps(done).encode())


@dataclass
class World:
    """The account, its machines and its guardian."""

    cloud: Cloud
    host: Host
    rooms: Rooms
    folder: Path

    @property
    def emulated(self) -> Any:
        return self.cloud.emulated

    def client(self, death: Death | None = None) -> Cloud:
        """One process of the command line."""
        ledger = Path(self.cloud.ledger.path).parents[1]
        environment = self.emulated.environment()
        own = _emulated(environment, self.cloud.clock, ledger, self.emulated)
        if death is not None:
            death.watch(own.session)
        return own

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

    def overrun(self, run_id: str) -> float:
        """Seconds that the latest machine of a run outlived its deadline; below zero: none did."""
        ec2 = self.emulated.clients("ec2", REGION, "inventory")
        filters = [{"Name": "tag:flyback:run-id", "Values": [run_id]}]
        late = [-1.0]
        for group in ec2.describe_instances(Filters=filters)["Reservations"]:
            for item in group["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
                ended = self.host.ended.get(item["InstanceId"], self.cloud.clock.now())
                late.append(ended - int(tags["flyback:deadline"]))
        return max(late)


@contextmanager
def deployed(folder: Path) -> Iterator[World]:
    """A world with flyback in it."""
    # what the agent does per second of a job is done in a twentieth of it
    cloud = start_rehearsal(folder / "cloud", region=REGION, factor=20.0)
    assert cloud.emulated is not None
    try:
        host = Host(cloud.emulated, folder / "machines")
        cloud.emulated.machines.host = host
        cloud.emulated.reclaims._factor = 0.0  # EC2 takes machines back when the test says so
        rooms = Rooms(cloud.emulated, cloud.emulated.workshop)
        cloud.emulated.functions._workshop = rooms
        deploy(cloud, OPTIONS, silent)
        yield World(cloud, host, rooms, folder)
    finally:
        cloud.emulated.stop()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A deployed account; botocore's pauses between attempts take no time."""
    still = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", still)
    tell: Callable[..., None] = Journal.tell

    with deployed(tmp_path) as found:

        def dying(self: Journal, kind: Any, /, **detail: Any) -> None:
            found.host.death.before()
            tell(self, kind, **detail)
            found.host.death.behind()

        monkeypatch.setattr(Journal, "tell", dying)
        yield found


@pytest.fixture
def death() -> type[Death]:
    """A way to die."""
    return Death
