"""One thread's view of the clock."""

from __future__ import annotations

import itertools
import subprocess
import threading
import weakref
from typing import Protocol

__all__ = ["Participant"]


class _Clock(Protocol):
    def now(self) -> float: ...

    def join(self, name: str) -> None: ...

    def leave(self, name: str) -> None: ...

    def wait(self, name: str, seconds: float, *, pid: int | None = None) -> float: ...

    def resume(self, name: str, pid: int) -> None: ...

    def signalled(self, name: str) -> None: ...


class Participant:
    """One thread's view of the clock; a `flyback.spec.clock.Clock`.

    Args:
        clock: The clock.
        name: Under which it takes part; one thread waits at a time.
    """

    _keys = itertools.count(1)

    def __init__(self, clock: _Clock, name: str) -> None:
        self._clock = clock
        self._watched: weakref.WeakKeyDictionary[subprocess.Popen[bytes], int] = (
            weakref.WeakKeyDictionary()
        )
        self.name = name

    def join(self) -> None:
        """Take part: from now on time stands still unless this participant waits."""
        self._clock.join(self.name)

    def leave(self) -> None:
        """Take part no longer."""
        self._clock.leave(self.name)

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._clock.wait(self.name, seconds)

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        key = self._watched.get(process)
        if key is None:
            # A number of our own: the system gives process ids out again.
            key = self._watched[process] = next(self._keys)
            threading.Thread(target=self._watch, args=(process, key), daemon=True).start()
        self._clock.wait(self.name, max(seconds, 0.0), pid=key)
        return process.poll() is not None

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        del process
        self._clock.signalled(self.name)

    def _watch(self, process: subprocess.Popen[bytes], key: int) -> None:
        process.wait()
        self._clock.resume(self.name, key)
