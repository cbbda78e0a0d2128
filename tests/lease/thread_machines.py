"""Machines of this process: the real agent in a thread, by the simulated clock."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from dying import Death, Killed, Off

from flyback.agent import main as agent
from flyback.agent.child import Ended
from flyback.agent.metadata import Metadata
from flyback.agent.options import Options as AgentOptions
from flyback.agent.services import Services
from flyback.store.open import open_store

REGION = "us-east-1"


class Imds(Metadata):
    """What a machine of this process reads of itself."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("http://127.0.0.1:1")
        self._machine = machine

    def get(self, path: str) -> str | None:
        self._machine.check()
        if path == "tags/instance":
            if not self._machine.listed:
                return None
            return "\n".join(self._machine.tags())
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
        self.timer: Any = None
        self.armed: float | None = None
        self.listed = True  # whether the metadata service lists its tags

    def check(self) -> None:
        """A machine that is off does nothing more."""
        if self.off:
            raise Off

    def tags(self) -> dict[str, str]:
        found = self.host.ec2.describe_instances(InstanceIds=[self.instance_id])
        instance = found["Reservations"][0]["Instances"][0]
        return {item["Key"]: item["Value"] for item in instance.get("Tags", [])}

    def arm(self) -> bool:
        """The system's own timer, as `shutdown -P +N` counts: whole minutes; the last one holds."""
        if self.host.stuck_timers:
            return False
        clock = self.host.clock
        deadline = int(self.tags()["flyback:deadline"])
        at = clock.now() + int(deadline - clock.now()) // 60 * 60
        if self.timer is not None:
            self.timer.cancel()
        if self.host.timers:
            self.timer = clock.call_at(max(at, clock.now()), self.power_off)
        self.armed = float(deadline)
        return True

    def power_off(self) -> None:
        if not self.off and not self.host.hung:
            self.host.machines.power_off(self.instance_id)

    def run(self, clock: Any) -> None:
        """User-data, then the agent."""
        tags = self.tags()
        self.arm()
        machine = self
        self.host.death.born()

        class Guarded:
            """The clock, which ends this thread where the machine is off."""

            def now(self) -> float:
                machine.check()
                return float(clock.now())

            def sleep(self, seconds: float) -> None:
                clock.sleep(seconds)
                machine.check()

            def wait(self, process: Any, seconds: float) -> bool:
                if isinstance(process, Pretended):
                    return process.work(self, seconds)
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
            armed=lambda: self.armed,
            environ={"PATH": "/usr/bin:/bin"},
        )
        options = AgentOptions(
            run_id=tags["flyback:run-id"],
            store=tags["flyback:store"],
            attempt=number,
            root=self.host.folder / self.instance_id,
        )
        try:
            agent.run(options, services, Guarded())
        except (Off, Killed):
            return


class Pretended:
    """A job that takes simulated time alone, and keeps its place every minute and on SIGTERM.

    Args:
        command: Its environment says where checkpoints are.
    """

    def __init__(self, command: Any, log: Path) -> None:
        del log
        self.process = self
        sleeps = command.argv[0] == "sleep"
        self.seconds = float(command.argv[1]) if sleeps else 150.0  # of work in all
        self.code: int | None = None
        self._folder = Path(command.env["FLYBACK_CHECKPOINT_DIR"])
        places = [int(path.parent.name) for path in self._folder.glob("*/COMPLETE")]
        self._done = float(max(places, default=0))
        self._stop = False

    def work(self, clock: Any, seconds: float) -> bool:
        """Work for so long, or until it ends."""
        began = clock.now()
        if self._stop:
            self._save()
            self.code = 75
        while self.code is None:
            left = began + seconds - clock.now()
            step = min(60 - self._done % 60, self.seconds - self._done, left)
            if step <= 0:
                break
            clock.sleep(step)
            self._done += step
            if self._done % 60 == 0:
                self._save()
            if self._done >= self.seconds:
                self.code = 0
        return self.code is not None

    def signal(self, number: int) -> None:
        """SIGTERM: save, and end."""
        self._stop = number == signal.SIGTERM or self._stop

    def close(self) -> Ended:
        """How it ended."""
        code = -9 if self.code is None else self.code
        return Ended(exit_code=code, last_line=json.dumps({"worked": self._done}))

    def _save(self) -> None:
        place = self._folder / str(int(self._done))
        place.mkdir(parents=True, exist_ok=True)
        (place / "place").write_text(str(self._done))
        (place / "COMPLETE").touch()


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
        self.stuck_timers = False  # whether they can't be set any more
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
