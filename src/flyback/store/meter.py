"""How far a transfer is: bytes, rate, time left; and the word that it is to end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flyback.errors import InterruptedRunError
from flyback.spec.clock import Clock, SystemClock

__all__ = ["Meter", "Progress", "told"]

_WINDOW_S = 10.0
_STEP_S = 0.2


@dataclass(frozen=True)
class Progress:
    """A moment of a transfer.

    Args:
        done: Bytes moved.
        total: Bytes to move.
        files: Objects finished.
        of_files: Objects to move.
        rate: Bytes per second over the last seconds.
        eta_s: Seconds left at that rate; None while nothing moves.
    """

    done: int
    total: int
    files: int
    of_files: int
    rate: float
    eta_s: float | None


class Meter:
    """Counts from many threads.

    Args:
        clock: For the rate.
        report: Told of progress, five times a second at most.
    """

    def __init__(
        self, clock: Clock | None = None, report: Callable[[Progress], None] | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._report = report
        self._lock = threading.Lock()
        self._done = self._total = self._files = self._of_files = 0
        self._told = float("-inf")
        self._marks: deque[tuple[float, int]] = deque()
        self._halted = threading.Event()

    def expect(self, files: int, total: int) -> None:
        """Add to what is to be moved; `total` in bytes."""
        with self._lock:
            self._of_files += files
            self._total += total
            self._marks.append((self._clock.now(), self._done))

    def add(self, count: int) -> None:
        """Some bytes have moved; negative where they must move again.

        Raises:
            InterruptedRunError: the transfer is to end.
        """
        self.check()
        with self._lock:
            self._done += count

    def finished(self) -> None:
        """One object has arrived."""
        with self._lock:
            self._files += 1
            now = self._clock.now()
            if self._report is None or now - self._told < _STEP_S:
                return
            self._told = now
            progress = self._progress(now)
        self._report(progress)

    def halt(self) -> None:
        """End: whoever counts next stops there."""
        self._halted.set()

    def check(self) -> None:
        """Stop here if the transfer is to end.

        Raises:
            InterruptedRunError: it is.
        """
        if self._halted.is_set():
            raise InterruptedRunError("the transfer was stopped", remedy="repeat it to go on")

    def progress(self) -> Progress:
        """Now."""
        with self._lock:
            return self._progress(self._clock.now())

    def _progress(self, now: float) -> Progress:
        self._marks.append((now, self._done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - _WINDOW_S:  # noqa: PLR2004  # two ends
            self._marks.popleft()
        since, before = self._marks[0]
        rate = (self._done - before) / (now - since) if now > since else 0.0
        left = max(self._total - self._done, 0)
        eta_s = left / rate if rate > 0 else None
        return Progress(self._done, self._total, self._files, self._of_files, rate, eta_s)


def told(progress: Progress) -> str:
    """One line: files, megabytes (of 10**6 bytes), rate, time left."""
    left = "" if progress.eta_s is None else f", {_duration(progress.eta_s)} left"
    return (
        f"{progress.files} of {progress.of_files} files, {progress.done / 1e6:.1f} of "
        f"{progress.total / 1e6:.1f} MB, {progress.rate / 1e6:.1f} MB/s{left}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
