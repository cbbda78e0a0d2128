"""What a child prints: all of it goes to the log, and the last line of stdout is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from flyback.agent.redaction import Redactor

__all__ = ["LastLine", "Pump", "note", "tail"]

_TAIL_LINES = 50
_TAIL_BYTES = 8000
_MOST_LINE_BYTES = 16 * 2**20
_CHUNK = 65536


class LastLine:
    """Remembers the last line that is not blank; one over 16 MiB is dropped."""

    def __init__(self) -> None:
        self._last = b""
        self._open = b""
        self._endless = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *whole, rest = (self._open + chunk).split(b"\n")
        if whole and self._endless:
            del whole[0]  # the end of a line whose beginning was dropped
            self._endless = False
        self._keep(whole)
        self._endless = self._endless or len(rest) > _MOST_LINE_BYTES
        self._open = b"" if self._endless else rest

    def value(self) -> str:
        """The line, without its end; empty where nothing was printed."""
        line = self._open if self._open.strip() else self._last
        return line.strip().decode("utf-8", "replace")

    def _keep(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.strip() and len(line) <= _MOST_LINE_BYTES:
                self._last = line


class Pump:
    """Copies what a child prints to the log in a thread, so that the child never waits for us.

    The stderr of a child without secrets is the log itself. The thread never asks the clock.

    Args:
        pipe: The child's stdout or stderr, unbuffered.
        log: File that is appended to.
        redactor: Takes secrets out first.
    """

    def __init__(self, pipe: IO[bytes], log: Path, redactor: Redactor) -> None:
        self._pipe = pipe
        self._log = log
        self._redactor = redactor
        self._line = LastLine()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> str:
        """The last line, once the pipe has ended; a pipe that somebody holds open is left."""
        self._thread.join(seconds)
        return self._line.value()

    def _run(self) -> None:
        with self._pipe, self._log.open("ab", buffering=0) as log:
            while chunk := self._pipe.read(_CHUNK):
                self._pass_on(self._redactor.feed(chunk), log)
            self._pass_on(self._redactor.finish(), log)

    def _pass_on(self, text: bytes, log: IO[bytes]) -> None:
        if text:
            log.write(text)
            self._line.feed(text)


def note(log: Path, text: str) -> None:
    """Put a line of the agent's own into the log."""
    with log.open("ab") as file:
        file.write(f"flyback: {text}\n".encode())


def tail(log: Path, lines: int = _TAIL_LINES, most_bytes: int = _TAIL_BYTES) -> str:
    """The log's last lines, whole ones where they fit."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        start = file.seek(max(size - most_bytes, 0))
        text = file.read().decode("utf-8", "replace")
    kept = text.splitlines()
    if start and len(kept) > 1:
        kept = kept[1:]  # most likely only the end of a line
    return "\n".join(kept[-lines:])
