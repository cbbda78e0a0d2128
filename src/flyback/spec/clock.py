"""The clock protocol: time is a parameter everywhere.

Real runs use `SystemClock`. In a rehearsal, time is simulated: the emulated cloud serves one
discrete-event clock, and every process that takes part (client, agent) waits on it through
`RemoteClock`. Simulated time stands still while any of them is busy and jumps when all wait; while
a workload computes it flows, measured time multiplied by the rehearsal's factor.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

from flyback.errors import ServiceError

__all__ = ["Clock", "RemoteClock", "SystemClock", "clock_from_environment"]


class Clock(Protocol):
    """Now, two ways to wait, and word of a signal. All times in seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Wait up to `seconds` for a child that computes; true once it has ended."""
        ...

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        """A child was sent a signal; a simulated one that waits takes note of it now."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)  # noqa: TID251  # the one place that really waits

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        try:
            process.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        """Nothing: the system has told it."""


class RemoteClock:
    """Takes part in a rehearsal's simulated time over HTTP on loopback.

    Its methods raise `ServiceError` where the rehearsal is over, `OSError` where nobody answers.

    Args:
        url: The clock's address.
        participant: Name under which this process takes part; one thread waits at a time.
    """

    def __init__(self, url: str, participant: str) -> None:
        self._address = urllib.parse.urlsplit(url)
        self._participant = participant
        self._watched: set[int] = set()

    def now(self) -> float:
        return float(self._post("now")["now"])

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._post("wait", seconds=seconds, working=False)

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        if process.pid not in self._watched:
            self._watched.add(process.pid)
            threading.Thread(target=self._resume_after, args=(process,), daemon=True).start()
        self._post("wait", seconds=max(seconds, 0.0), working=True, pid=process.pid)
        return process.poll() is not None

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        self._post("signalled", pid=process.pid)

    def join(self) -> None:
        """Take part: from now on time stands still unless this participant waits."""
        self._post("join")

    def leave(self) -> None:
        """Take part no longer."""
        self._post("leave")

    def _resume_after(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with contextlib.suppress(OSError, ServiceError):  # the rehearsal may have ended meanwhile
            self._post("resume", pid=process.pid)

    def _post(self, verb: str, **body: Any) -> dict[str, Any]:
        connection = http.client.HTTPConnection(
            self._address.hostname or "127.0.0.1", self._address.port
        )
        try:
            payload = json.dumps({"participant": self._participant, **body})
            connection.request("POST", f"{self._address.path}/{verb}", payload)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ServiceError(
                f"the clock of the rehearsal said: {answer}", where=f"{self._address.geturl()}"
            )
        return answer


def clock_from_environment(environ: Mapping[str, str]) -> Clock:
    """The clock that this process runs by: simulated where `FLYBACK_CLOCK_URL` says so."""
    url = environ.get("FLYBACK_CLOCK_URL")
    if not url:
        return SystemClock()
    return RemoteClock(url, environ.get("FLYBACK_CLOCK_PARTICIPANT", "process"))
