"""One simulated machine, from boot to power off.

It goes through lives: a boot begins one, and power off or a reboot ends it with all its processes.
What was meant for an earlier life (a late shim call, a timer) does nothing to a later one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from flyback.rehearsal.clock import Handle, VirtualClock
from flyback.rehearsal.image import Image
from flyback.rehearsal.imds import Answer, Imds
from flyback.rehearsal.isolation import Fence, Protection, start
from flyback.rehearsal.shims import Gpu, Power, install, interpret, parse, render
from flyback.rehearsal.simulator.facts import Clients, Ec2Facts
from flyback.rehearsal.simulator.ports import LoopbackServer, Then
from flyback.rehearsal.simulator.record import MachineFolder, Record

__all__ = ["Machine", "World"]

_CONTROL = "/_flyback/control"
_CLOCK = "/_flyback/clock"
_LAST_WORDS_S = 10.0  # real seconds; the processes are dead by then, so it takes milliseconds


@dataclass(frozen=True, kw_only=True)
class World:
    """What machines share.

    Args:
        endpoint: URL of the emulated cloud.
        clock: The rehearsal's.
        clients: Service and region → boto3 client of the emulated cloud.
        image: The machine image.
        system: Paths of this computer that every machine may read.
        power_off: Tells EC2 that an operating system has shut itself down.
    """

    endpoint: str
    clock: VirtualClock
    clients: Clients
    image: Callable[[], Image]
    system: Callable[[], tuple[str, ...]]
    power_off: Callable[[str], None]


class Machine:
    """One machine.

    Args:
        instance_id: EC2's name for it.
        region: Where it is.
        world: What it shares with others.
        folder: Its own.
        chance: Decides what is random about it.
        boot_seconds: Least and most simulated seconds from launch to user-data.
    """

    def __init__(
        self,
        instance_id: str,
        region: str,
        world: World,
        folder: Path,
        chance: random.Random,
        boot_seconds: tuple[float, float],
    ) -> None:
        self._id = instance_id
        self._world = world
        self._folder = MachineFolder(folder)
        self._chance = chance
        self._boot_seconds = boot_seconds
        self._facts = Ec2Facts(instance_id, region, world.clients, world.clock.now)
        self._lock = threading.RLock()
        self._life = 0
        self._hung = False
        self._starting: Handle | None = None
        self._timer: Handle | None = None
        self._server: LoopbackServer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._folder.make()
        self.record = Record(self._folder, instance_id)
        self.imds = Imds(self._facts, world.clock.now, chance)

    def now(self) -> float:
        return self._world.clock.now()

    def goes_off_at(self) -> float | None:
        timer = self._timer
        return timer.due if timer is not None and not timer.over else None

    def gpus(self) -> Sequence[Gpu]:
        return self._facts.gpus()

    def boot(self) -> None:
        """Begin a life: its scripts run once the boot's simulated seconds have passed."""
        with self._lock:
            self._life += 1
            life, self._hung = self._life, False
            delay = self._chance.uniform(*self._boot_seconds)
            self._starting = self._world.clock.call_after(delay, lambda: self._start(life))
            self.record.event(self.now(), "boot")

    def halt(self, life: int | None = None) -> None:
        """End this life, or the one that is given: kill all its processes; idempotent."""
        with self._lock:
            if life is not None and life != self._life:
                return
            self._life += 1
            handles = (self._starting, self._timer)
            process, server, watcher = self._process, self._server, self._watcher
            self._starting = self._timer = self._process = self._server = None
        for handle in handles:
            if handle is not None:
                handle.cancel()
        if process is not None:
            _kill(process)
        if watcher is not None:  # its last words go into the folder, which may be removed next
            watcher.join(_LAST_WORDS_S)
        if server is not None:
            server.close()
            self.record.event(self.now(), "off")
        self._world.clock.leave(self._id)

    def hang(self, *, frozen: bool) -> None:
        """Ignore `shutdown` from now on, until the next boot; frozen, do nothing at all."""
        with self._lock:
            life, self._hung = self._life, True
        self.record.event(self.now(), "hung")
        if frozen:
            self._stop(life)

    def reboot(self) -> None:
        """End this life and begin another."""
        self._change("reboot", self._life)

    def _change(self, kind: Literal["off", "reboot"], life: int) -> None:
        """Switch off, for good or for another life; from an event of the clock."""
        if life != self._life or (self._hung and kind == "off"):
            return
        self.halt(life)
        if kind == "reboot":
            self.boot()
        else:
            self._world.power_off(self._id)

    def _start(self, life: int) -> None:
        """The system is up: metadata service, clock, scripts; from an event of the clock."""
        first = not self._folder.ran_once.exists()
        user_data = self._facts.user_data() if first else None
        image, system = self._world.image(), self._world.system()
        with self._lock:
            if life != self._life:
                return  # taken away while it booted
            server = self._server = LoopbackServer(self._answer)
            commands = self._commands(user_data)
            self._folder.ran_once.touch()
            if not commands:
                return
            install(self._folder.bin)
            fence = Fence(
                read=(*system, str(image.path), *map(str, image.needs), str(self._folder.bin)),
                write=(str(self._folder.root),),
                ports=(_port(self._world.endpoint), server.port),
            )
            self._world.clock.join(self._id)
            self._process = start(
                commands,
                fence,
                directory=self._folder.root,
                environment=self._environment(image, server.port),
                log=self._folder.log,
            )
            self._watcher = threading.Thread(
                target=self._watch, args=(self._process, life), name=self._id, daemon=True
            )
            self._watcher.start()

    def _commands(self, user_data: bytes | None) -> list[list[str]]:
        """Per-boot scripts, then user-data, in the order of cloud-init's final stage."""
        scripts = sorted(path for path in self._folder.per_boot.iterdir() if path.is_file())
        commands = [[str(path)] for path in scripts if os.access(path, os.X_OK)]
        if user_data is not None and user_data.startswith(b"#!"):
            self._folder.user_data.write_bytes(user_data)
            self._folder.user_data.chmod(0o700)
            commands.append([str(self._folder.user_data)])
        elif user_data:
            self.record.event(self.now(), "user-data is no script (it does not begin with #!)")
        return commands

    def _environment(self, image: Image, port: int) -> dict[str, str]:
        own = f"http://127.0.0.1:{port}"
        return {
            "PATH": f"{self._folder.bin}:{image.bin}:/usr/bin:/bin",
            "HOME": str(self._folder.home),
            "TMPDIR": str(self._folder.temporary),
            "AWS_ENDPOINT_URL": self._world.endpoint,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": own,
            "FLYBACK_ROOT": str(self._folder.root),
            "FLYBACK_CLOCK_URL": self._world.endpoint.rstrip("/") + _CLOCK,
            "FLYBACK_CLOCK_PARTICIPANT": self._id,
            "FLYBACK_CONTROL_URL": own + _CONTROL,
        }

    def _watch(self, process: subprocess.Popen[bytes], life: int) -> None:
        """Follow a life's first process; what outlives the scripts is off the clock."""
        with process:
            for line in process.stdout or ():
                report = json.loads(line)
                if "fence" in report:
                    self.record.fenced(Protection(**report["fence"]))
                if "main" in report:
                    self.record.ended(report["main"])
                    self._idle(life)
        self._idle(life)

    def _idle(self, life: int) -> None:
        with self._lock:
            if life == self._life:
                self._world.clock.leave(self._id)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Answer, Then | None]:
        if path != _CONTROL:
            return self.imds.answer(method, path, headers), None
        command, arguments = parse(body)
        reply = interpret(command, arguments, self)
        self.record.shim(self.now(), command, arguments, reply.status)
        then = self._act(reply.power) if reply.power is not None else None
        return Answer(status=HTTPStatus.OK, body=render(reply)), then

    def _act(self, power: Power) -> Then | None:
        """Act out what a shim does to the power; what must follow its answer is returned."""
        with self._lock:
            life, kind = self._life, power.kind
            if self._timer is not None:
                self._timer.cancel()
            if kind == "cancel" or (self._hung and power.at is None):
                return None
            if power.at is not None:
                self._timer = self._world.clock.call_at(power.at, lambda: self._change(kind, life))
                return None

        def at_once() -> None:
            # The event first: no time may pass between the processes' end and EC2's knowing it.
            self._world.clock.call_after(0, lambda: self._change(kind, life))
            self._stop(life)

        return at_once

    def _stop(self, life: int) -> None:
        """Kill the processes of a life and give its time free, so that the event can come."""
        with self._lock:
            if life != self._life:
                return
            process = self._process
        if process is not None:
            _kill(process)
        self._idle(life)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Let the first process kill all others and end."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _port(url: str) -> int:
    parts = urllib.parse.urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
