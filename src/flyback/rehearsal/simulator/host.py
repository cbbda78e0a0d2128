"""The host of all simulated machines, as the emulated EC2 sees it."""

from __future__ import annotations

import functools
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.image import Image, prepare
from flyback.rehearsal.isolation import Protection, available, private_paths, system_paths
from flyback.rehearsal.simulator.facts import Clients
from flyback.rehearsal.simulator.machine import Machine, World
from flyback.rehearsal.simulator.record import MachineFolder
from flyback.spec.paths import home

__all__ = ["InstanceSimulator", "Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How machines are simulated.

    Args:
        seed: Decides boot times and what else is random about a machine.
        boot_seconds: Least and most simulated seconds from launch to user-data.
        image: The machine image; None builds the usual one below `FLYBACK_HOME/images`.
    """

    seed: int = 0
    boot_seconds: tuple[float, float] = (30.0, 60.0)
    image: Image | None = None


class InstanceSimulator:
    """Boots what the emulated EC2 launches; a `flyback.rehearsal.call.MachineHost`.

    Args:
        endpoint: URL of the emulated cloud; the clock is served at its `/_flyback/clock`.
        clock: The rehearsal's.
        folder: Machines live below it, each in the folder of its id.
        power_off: Tells EC2 that an instance's operating system has shut itself down.
        options: How.
        clients: Service and region → boto3 client, for what EC2 itself asks of the cloud; None
            makes them with the credentials of nobody in particular.
    """

    def __init__(
        self,
        endpoint: str,
        clock: VirtualClock,
        folder: Path,
        power_off: Callable[[str], None],
        options: Options | None = None,
        clients: Clients | None = None,
    ) -> None:
        self._folder = folder.resolve()
        self._options = options or Options()
        self._machines: dict[str, Machine] = {}
        self._lock = threading.Lock()
        self._world = World(
            endpoint=endpoint,
            clock=clock,
            clients=clients or _clients(endpoint),
            image=functools.cache(self._image),
            system=functools.cache(self._system),
            power_off=power_off,
        )

    @property
    def protection(self) -> Protection:
        """What keeps machines from this computer's files; its text is for the user."""
        return available()

    def prepare(self) -> None:
        """Make the machine image now, instead of when the first machine boots.

        Raises:
            MissingExtraError: a distribution that the image holds is not installed.
        """
        self._world.image()

    def boot(self, instance_id: str, region: str) -> None:
        with self._lock:
            machine = self._machines.get(instance_id)
            if machine is None:
                chance = random.Random(f"{self._options.seed}/{len(self._machines)}")  # noqa: S311  # no secret
                machine = self._machines[instance_id] = Machine(
                    instance_id,
                    region,
                    self._world,
                    self._folder / instance_id,
                    chance,
                    self._options.boot_seconds,
                )
        machine.boot()

    def halt(self, instance_id: str) -> None:
        machine = self._machines.get(instance_id)
        if machine is not None:
            machine.halt()

    def reboot(self, instance_id: str) -> None:
        """Restart a machine: its processes end, its per-boot scripts run, its files stay."""
        self._machines[instance_id].reboot()

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """Let a machine read that EC2 takes it away (`terminate`, `stop`, `hibernate`) and when."""
        self._machines[instance_id].imds.notice(action, at)

    def recommend_rebalance(self, instance_id: str, at: float) -> None:
        """Let a machine read that it is at a raised risk of being taken away."""
        self._machines[instance_id].imds.recommend_rebalance(at)

    def hang(self, instance_id: str, frozen: bool) -> None:  # noqa: FBT001  # the host's protocol
        """Let a machine ignore `shutdown`, its timer included; frozen, it does nothing at all."""
        self._machines[instance_id].hang(frozen=frozen)

    def record(self, instance_id: str) -> Mapping[str, Any]:
        """What is kept of a machine: isolation, exit code, shim calls, events."""
        return self._machines[instance_id].record.content

    def records(self) -> dict[str, Mapping[str, Any]]:
        """What is kept of each machine."""
        return {name: machine.record.content for name, machine in list(self._machines.items())}

    def boot_log(self, instance_id: str) -> str:
        """What a machine's scripts have printed."""
        log = MachineFolder(self._folder / instance_id).log
        return log.read_text(errors="replace") if log.exists() else ""

    def close(self) -> None:
        """End all machines."""
        for machine in list(self._machines.values()):
            machine.halt()

    def _image(self) -> Image:
        return self._options.image or prepare(home(dict(os.environ)) / "images")

    def _system(self) -> tuple[str, ...]:
        own = {self._folder, self._world.image().path.parent, home(dict(os.environ))}
        return system_paths(private_paths() | own)


def _clients(endpoint: str) -> Clients:
    lock = threading.Lock()

    @functools.cache
    def client(service: str, region: str) -> Any:
        import boto3
        from botocore.config import Config

        session: Any = boto3.session.Session(
            aws_access_key_id="ec2",
            aws_secret_access_key="ec2",  # noqa: S106  # emulated
            region_name=region,
        )
        return session.client(service, endpoint_url=endpoint, config=Config(proxies={}))

    def locked(service: str, region: str) -> Any:
        with lock:
            return client(service, region)

    return locked
