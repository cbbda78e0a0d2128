"""Execution environments: made when an invocation finds none idle, kept warm, thrown away.

As on Lambda, one environment serves one invocation at a time and many after each other. It is
thrown away when its role's session runs out, when the function changes, and when it crashes.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.functions.environment import Environment, Place
from flyback.rehearsal.functions.state import Function
from flyback.rehearsal.image import Image, prepare
from flyback.rehearsal.isolation import private_paths, system_paths
from flyback.rehearsal.roles import Sessions
from flyback.spec.paths import home

__all__ = ["Workshop"]

_RUNTIME = ("boto3",)  # what Lambda's own Python brings (developer guide, "Lambda runtimes")


@dataclass(frozen=True)
class _Key:
    """What an environment can serve."""

    arn: str
    revision: int


class Workshop:
    """Makes and keeps execution environments.

    Args:
        endpoint: URL of the emulated cloud.
        clock: The rehearsal's.
        folder: Environments live below it.
        sessions: Takes the functions' roles.
        image: What they run in; None builds the usual one below `FLYBACK_HOME/images`.
    """

    def __init__(
        self,
        endpoint: str,
        clock: VirtualClock,
        folder: Path,
        sessions: Sessions,
        image: Callable[[], Image] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._folder = folder.resolve()
        self._sessions = sessions
        self._image = image or _usual_image
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[Environment]] = {}
        self._busy: set[Environment] = set()
        self._made = 0
        self._closed = False

    def take(self, function: Function) -> Environment:
        """An environment for one invocation: a warm one, or a new one.

        Raises:
            ClientError: Lambda can't take the function's role.
        """
        key = _Key(function.arn, function.revision)
        self._retire(function, key)
        with self._lock:
            idle = self._idle.get(key, [])
            while idle:
                environment = idle.pop()
                if environment.lasts_until > self._clock.now() + function.get("Timeout"):
                    self._busy.add(environment)
                    return environment
                environment.close()
            self._made += 1
            number = self._made
        environment = self._make(function, number)
        with self._lock:
            self._busy.add(environment)
            late = self._closed
        if late:  # the cloud is being stopped meanwhile
            environment.close()
        return environment

    def give_back(self, function: Function, environment: Environment) -> None:
        """After an invocation: it stays warm, or it is thrown away where it is of no more use."""
        with self._lock:
            self._busy.discard(environment)
            if environment.alive:
                key = _Key(function.arn, function.revision)
                self._idle.setdefault(key, []).append(environment)
                return
        environment.close()

    def interrupt(self) -> int:
        """Kill what runs just now, as a crash of its host would; how many there were."""
        with self._lock:
            running = list(self._busy)
        for environment in running:
            environment.close()
        return len(running)

    def forget(self, arn: str) -> None:
        """A function is no more: its idle environments end."""
        with self._lock:
            gone = [key for key in self._idle if key.arn == arn]
            environments = [one for key in gone for one in self._idle.pop(key)]
        for environment in environments:
            environment.close()

    def close(self) -> None:
        """End all environments."""
        with self._lock:
            self._closed = True
        self.interrupt()
        with self._lock:
            environments = [one for idle in self._idle.values() for one in idle]
            self._idle = {}
        for environment in environments:
            environment.close()

    def _retire(self, function: Function, current: _Key) -> None:
        """Throw away the idle environments of earlier states of a function."""
        with self._lock:
            old = [key for key in self._idle if key.arn == function.arn and key != current]
            environments = [one for key in old for one in self._idle.pop(key)]
        for environment in environments:
            environment.close()

    def _make(self, function: Function, number: int) -> Environment:
        name = f"{function.name}-{number}"
        session = self._sessions.take(
            function.get("Role"),
            function.name,
            region=function.region,
            service="lambda",
            source_arn=function.arn,
        )
        folder = self._folder / name
        task = folder / "task"
        shutil.rmtree(folder, ignore_errors=True)
        task.mkdir(parents=True)
        with zipfile.ZipFile(io.BytesIO(function.code.data)) as archive:
            archive.extractall(task)
        place = Place(
            endpoint=self._endpoint,
            folder=folder,
            image=self._image(),
            system=self._system(),
        )
        return Environment(function, name, place, session, self._clock)

    def _system(self) -> tuple[str, ...]:
        own = {self._folder, self._image().path.parent, home(dict(os.environ))}
        return system_paths(private_paths() | own)


def _usual_image() -> Image:
    return prepare(home(dict(os.environ)) / "images", _RUNTIME)
