"""Many files to the disk at once: one thread, and on Linux one system call for all that wait.

A flush of its own for each of a thousand small files means a thousand times two threads that pass
the interpreter's lock to each other, and the disk is told to empty its cache a thousand times.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Flusher"]

T = TypeVar("T")
_MOST_OPEN = 128 if sys.platform == "linux" else 48  # of 1,024 and 256 descriptors
_TELLING = (5, 8)  # the first Linux whose syncfs tells errors
_THREADS = 16  # where files are flushed one by one; file systems flush such together


class Flusher(Generic[T]):
    """Flushes files while the caller goes on.

    Args:
        descriptor_of: The open file of an item.
    """

    def __init__(self, descriptor_of: Callable[[T], int]) -> None:
        self._descriptor_of = descriptor_of
        self._waiting: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._flushed: queue.SimpleQueue[tuple[T, OSError | None]] = queue.SimpleQueue()
        self._room = threading.Semaphore(_MOST_OPEN)
        self._thread = threading.Thread(target=self._work, name="flyback-flush")
        self._thread.start()

    def take(self, item: T) -> None:
        """Flush it soon; it stays open until it is among the `flushed`.

        Waits where the disk is far behind, since each of them holds a descriptor.
        """
        self._room.acquire()
        self._waiting.put(item)

    def flushed(self) -> list[tuple[T, OSError | None]]:
        """What has been since the last call, each with what went wrong; never waits."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._flushed.get_nowait())
        return found

    def close(self) -> None:
        """Wait until everything is flushed."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        ended = False
        while not ended:
            batch = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    batch.append(self._waiting.get_nowait())
            ended = None in batch
            items = [item for item in batch if item is not None]
            for item, error in zip(items, self._told(items), strict=True):
                self._flushed.put((item, error))
                self._room.release()

    def _told(self, items: Sequence[T]) -> Sequence[OSError | None]:
        """As `_flush`; what it could not even try (no thread, no descriptor) is every item's."""
        try:
            return self._flush(items)
        except (OSError, RuntimeError, ValueError) as error:
            ours = error if isinstance(error, OSError) else OSError(f"can't flush: {error}")
            return [ours] * len(items)

    def _flush(self, items: Sequence[T]) -> Sequence[OSError | None]:
        descriptors = [self._descriptor_of(item) for item in items]
        whole = _syncfs()
        if whole is not None:
            each = {os.fstat(descriptor).st_dev: descriptor for descriptor in descriptors}
            if all(whole(descriptor) == 0 for descriptor in each.values()):
                return [None] * len(items)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_THREADS, "flyback-flush") as executor:
            return list(executor.map(_one, descriptors))


def _one(descriptor: int) -> OSError | None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    return None


@functools.cache
def _syncfs() -> Any:
    """Linux's syncfs(2): what fsync does, for all files of a file system; None elsewhere.

    It tells an error of any file since Linux 5.8 (syncfs(2), NOTES); then they are flushed one by
    one, to see whose. Older kernels are silent about errors, so there it is not used.
    """
    if sys.platform != "linux" or not _tells_errors(os.uname().release):
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), "syncfs", None)


def _tells_errors(release: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= _TELLING
