"""Small objects of a sync, by the fleet: what each of them does with its request and its file."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from flyback.store.flush import Flusher
from flyback.store.integrity import Expected, Running, encoded, file_crc32
from flyback.store.keys import check_key
from flyback.store.landing import already, landing, write_all
from flyback.store.meter import Meter
from flyback.store.protocol import StoredObject
from flyback.store.s3_fleet import LINES, Fleet, Left
from flyback.store.s3_http import Answer, S3Http, Take
from flyback.store.s3_operations import CHECKSUMS, described
from flyback.store.s3_signing import Question, Stretch

__all__ = ["Small"]

_MOST_BYTES = 8 << 20  # of what has grown since it was listed

T = TypeVar("T")


class Small:
    """Moves small objects of one bucket.

    Args:
        http: Asks the bucket.
        prefix: Before every key.
        meter: Counts.
    """

    def __init__(self, http: S3Http, prefix: str, meter: Meter) -> None:
        self._http = http
        self._prefix = prefix
        self._meter = meter

    def down(
        self, items: Iterable[StoredObject], path_of: Callable[[str], Path]
    ) -> list[StoredObject]:
        """Download; those that are left to the patient way.

        Args:
            items: Small objects.
            path_of: The file of a key.

        Raises:
            InterruptedRunError: the meter was halted.
        """
        flusher: Flusher[_Fetch] = Flusher(lambda errand: errand.descriptor)
        made = (_Fetch(item, self._checked(item.key), path_of(item.key), flusher) for item in items)
        lost: list[_Fetch] = []

        def land() -> None:
            done: list[_Fetch] = []
            for errand, error in flusher.flushed():
                (done if errand.land(error) else lost).append(errand)
            for errand in done:  # only now: a halted meter raises
                self._meter.add(errand.size)
                self._meter.finished()

        def check() -> None:
            self._meter.check()
            land()

        try:
            left = Fleet(self._http, made).carry(check)
        finally:
            flusher.close()
            land()
        return [errand.item for errand in (*left, *lost)]

    def up(
        self, items: Sequence[StoredObject], path_of: Callable[[str], Path]
    ) -> list[StoredObject]:
        """Upload; those that are left to the patient way.

        Args:
            items: Small objects.
            path_of: The file of a key.

        Raises:
            InterruptedRunError: the meter was halted.
        """
        named = ((item, path_of(item.key)) for item in items)
        made = (
            _Send(item, self._checked(item.key), path, self._meter)
            for item, path in _warmed(named, lambda pair: pair[1])
        )
        left = Fleet(self._http, made).carry(self._meter.check)
        return [errand.item for errand in left]

    def _checked(self, key: str) -> str:
        whole = self._prefix + key
        check_key(whole, self._http.address.where)
        return whole


class _Fetch:
    """One download."""

    def __init__(self, item: StoredObject, key: str, path: Path, flusher: Flusher[_Fetch]) -> None:
        self.item = item
        self.size = 0
        self.descriptor = -1
        self._key = key
        self._path = path
        self._flusher = flusher
        self._file = contextlib.ExitStack()
        self._running = Running()

    def ask(self, scratch: memoryview) -> Question:
        del scratch
        return Question("GET", self._key, headers=CHECKSUMS)

    def begin(self, answer: Answer) -> Take:
        found = described(answer)
        self.size = int(found["ContentLength"])
        if self.size > _MOST_BYTES:
            raise Left("it has become larger")
        running = self._running = Expected(found).running()
        descriptor, _ = self._file.enter_context(landing(self._path, flush=already))
        self.descriptor = descriptor

        def take(data: memoryview, at: int) -> None:
            running.take(data)
            write_all(descriptor, data, at)

        return take

    def done(self) -> None:
        if not self._running.agrees():
            raise Left("it arrived damaged")
        self._flusher.take(self)

    def drop(self) -> None:
        dropped = Left("not whole")
        self._file.__exit__(Left, dropped, None)

    def land(self, error: OSError | None) -> bool:
        """Give the flushed file its name, unless flushing failed; whether all went well."""
        if error is not None:
            self.drop()
            return False
        try:
            self._file.close()
        except OSError:
            return False
        return True


class _Send:
    """One upload."""

    def __init__(self, item: StoredObject, key: str, path: Path, meter: Meter) -> None:
        self.item = item
        self._key = key
        self._path = path
        self._meter = meter
        self._file = contextlib.ExitStack()
        self._size = 0

    def ask(self, scratch: memoryview) -> Question:
        del scratch
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._file.callback(os.close, descriptor)
        size = self._size = os.fstat(descriptor).st_size
        if size > _MOST_BYTES:
            raise Left("it has become larger")
        headers = {"x-amz-checksum-crc32": encoded(file_crc32(descriptor, 0, size))}
        return Question("PUT", self._key, headers=headers, body=Stretch(descriptor, 0, size))

    def begin(self, answer: Answer) -> Take:
        del answer
        return lambda data, at: None  # noqa: ARG005  # nothing is told beside the headers

    def done(self) -> None:
        self._file.close()
        self._meter.add(self._size)
        self._meter.finished()

    def drop(self) -> None:
        self._file.close()


def _warmed(items: Iterable[T], path_of: Callable[[T], Path]) -> Iterator[T]:
    """The items, while the system reads the files of those that come next."""
    ahead: deque[T] = deque()
    for item in items:
        ahead.append(item)
        _warm(path_of(item))
        if len(ahead) > LINES:
            yield ahead.popleft()
    yield from ahead


def _warm(path: Path) -> None:
    if not hasattr(os, "posix_fadvise"):  # macOS
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
