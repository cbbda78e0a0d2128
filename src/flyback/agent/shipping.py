"""The log on its way out while the job runs: to CloudWatch Logs, or to the store.

The log file is the buffer: a sink that fails just now gets the same lines at the next turn, and
the job never waits for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from flyback.agent.services import LogSink
from flyback.errors import FlybackError
from flyback.spec.clock import Clock
from flyback.store.protocol import Store

__all__ = ["CloudLog", "Shipping", "StoredLog", "batches"]

# PutLogEvents: "The maximum batch size is 1,048,576 bytes … the sum of all event messages in
# UTF-8, plus 26 bytes for each log event"; at most 10,000 events (CloudWatch Logs API reference).
_BATCH_BYTES = 1_048_576
_BATCH_EVENTS = 10_000
_EVENT_OVERHEAD = 26
_EVENT_BYTES = 256_000  # the older, smaller limit of one event
_READ_BYTES = 4 * 2**20  # at one turn
_PAUSES_S = (1.0, 2.0, 4.0)


class Shipping(Protocol):
    """A concern that can also be told to send all that is left."""

    @property
    def due(self) -> float: ...

    def tick(self, now: float) -> None: ...

    def finish(self, clock: Clock) -> None:
        """Send the rest, trying again a few times; never raises what the sink does."""
        ...


class CloudLog:
    """Sends the log's lines to a stream in CloudWatch Logs.

    Args:
        sink: CloudWatch Logs.
        group: Log group.
        stream: Made at the first turn.
        log: The file.
    """

    PERIOD_S = 2.0

    def __init__(self, sink: LogSink, group: str, stream: str, log: Path) -> None:
        self._sink = sink
        self._group = group
        self._stream = stream
        self._log = log
        self._made = False
        self._sent = 0
        self.due = 0.0

    def tick(self, now: float) -> None:
        """Send the whole lines that came since the last turn."""
        self.due = now + self.PERIOD_S
        with contextlib.suppress(FlybackError):
            self._send(now, rest=False)

    def finish(self, clock: Clock) -> None:
        for pause in (*_PAUSES_S, None):
            try:
                while self._send(clock.now(), rest=True):
                    pass
            except FlybackError:
                if pause is not None:
                    clock.sleep(pause)
            else:
                return

    def _send(self, now: float, *, rest: bool) -> bool:
        """Send what one turn may; whether there was anything."""
        chunk = self._read(rest=rest)
        if not chunk:
            return False
        if not self._made:
            self._sink.create_stream(self._group, self._stream)
            self._made = True
        at = int(now * 1000)
        for batch, size in batches(chunk):
            self._sink.put(self._group, self._stream, [(at, line) for line in batch])
            self._sent += size
        return True

    def _read(self, *, rest: bool) -> bytes:
        with self._log.open("rb") as file:
            file.seek(self._sent)
            chunk = file.read(_READ_BYTES)
        whole = chunk.rfind(b"\n") + 1
        if whole == 0 and (rest or len(chunk) >= _EVENT_BYTES):
            return chunk  # a last line without its end, or one that is endless
        return chunk[:whole]


class StoredLog:
    """Keeps the store's copy of the log fresh, where there is no log group.

    Args:
        store: Where to.
        key: Under which name.
        log: The file.
    """

    PERIOD_S = 1.0
    _BYTES_PER_S = 10e6  # a long log is copied less often

    def __init__(self, store: Store, key: str, log: Path) -> None:
        self._store = store
        self._key = key
        self._log = log
        self._size = -1
        self.due = 0.0

    def tick(self, now: float) -> None:
        """Copy the log if it has grown."""
        size = self._log.stat().st_size
        self.due = now + max(self.PERIOD_S, size / self._BYTES_PER_S)
        if size == self._size:
            return
        with contextlib.suppress(FlybackError):
            self._store.put_file(self._key, self._log)
            self._size = size

    def finish(self, clock: Clock) -> None:
        self.tick(clock.now())


def batches(chunk: bytes) -> Iterator[tuple[list[str], int]]:
    """Lines in groups that one call may carry, each with the bytes of the chunk that it covers."""
    lines: list[str] = []
    weight = covered = 0
    for line, size in _events(chunk):
        cost = len(line.encode()) + _EVENT_OVERHEAD
        if lines and (weight + cost > _BATCH_BYTES or len(lines) == _BATCH_EVENTS):
            yield lines, covered
            lines, weight, covered = [], 0, 0
        lines.append(line)
        weight += cost
        covered += size
    if lines:
        yield lines, covered


def _events(chunk: bytes) -> Iterator[tuple[str, int]]:
    """One event per line, a longer line in pieces; blank lines stay, as a blank."""
    for raw in chunk.splitlines(keepends=True):
        for start in range(0, len(raw), _EVENT_BYTES):
            piece = raw[start : start + _EVENT_BYTES]
            text = piece.rstrip(b"\r\n").decode("utf-8", "replace")
            yield text or " ", len(piece)
