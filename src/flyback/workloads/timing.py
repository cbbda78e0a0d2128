"""The timed loop: one latency per result, all kept.

Standard library alone. What happens between two blocks (a progress line, and a few calls that warm
the caches again) is in no latency and in no wall time; which calls those are is fixed beforehand.
"""

from __future__ import annotations

import gc
import itertools
import math
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyback.stats.precision import is_precise
from flyback.stats.stationarity import is_settled
from flyback.workloads.stopping import Stop

__all__ = [
    "BLOCKS",
    "SETTLE",
    "DeviceClock",
    "Limits",
    "Timer",
    "Timing",
    "calibrated_inner",
    "timer_overhead_ns",
]

Timer = Callable[[], int]
"""Nanoseconds on a clock that never goes back."""

BLOCKS = 10
"""Blocks that the samples are taken in."""

SETTLE = 8
"""Results computed and not timed before each block, to warm the caches again."""

_TIMER_SHARE = 100  # a sample lasts at least so many readings of the clock
_MOST_INNER = 100_000
_WINDOW = 20
_WARM_FACTOR = 10


class DeviceClock(Protocol):
    """Time on the device itself, beside the host's."""

    name: str

    def start(self) -> None:
        """Mark the beginning on the device's queue."""
        ...

    def stop(self) -> int:
        """Nanoseconds since `start`, once the device has come so far."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When sampling ends.

    Args:
        samples: Fewest samples.
        most: Most samples; between the two it ends once the median is known to 1 %.
        seconds: Most time after the fewest samples.
    """

    samples: int
    most: int
    seconds: float = 5.0


@dataclass
class Timing:
    """Latencies and what they were taken under.

    Args:
        timer: The clock.
        stop: Asked before each call.
        inner: Calls that one latency is the mean of; 1 unless a call is too short for the clock.
        device: Clock of the device; None takes no times there.

    Attributes:
        latencies: One per result, from the start of its call, ns (int64).
        device_ns: One per call by the device's clock.
        control_ns: Of the calibration cell, between the blocks.
        starts: Index of each block's first latency.
        wall_ns: From each block's first call to its last result, summed, without the calls that
            only the device's clock times.
        cpu_ns: Processor time of this process in the same spans.
        last: The last result.
        backlog_max: Most arrivals that waited behind the one that was worked on (open loop).
        warmed: Results computed before anything was kept.
        settled: Whether the warm-up reached one level; None where nobody looked.
    """

    timer: Timer
    stop: Stop
    inner: int = 1
    device: DeviceClock | None = None
    latencies: array[int] = field(default_factory=lambda: array("q"))
    device_ns: array[int] = field(default_factory=lambda: array("q"))
    control_ns: array[int] = field(default_factory=lambda: array("q"))
    starts: list[int] = field(default_factory=list)
    wall_ns: int = 0
    cpu_ns: int = 0
    last: Any = None
    backlog_max: int = 0
    warmed: int = 0
    settled: bool | None = None

    def warm(self, run: Callable[[], Iterator[Any]], count: int, doing: str) -> None:
        """Compute at least `count` results without keeping a time."""
        while count > 0:
            self.stop.check(doing)
            made = sum(1 for _ in run())
            count -= made
            self.warmed += made

    def settle(self, run: Callable[[], Iterator[Any]], least: int) -> None:
        """Warm up: at least so many results, then until two windows have one level.

        Ten times as many at most, and none at all where none are asked for.
        """
        self.warm(run, least, "warming up")
        if least <= 0:
            return
        seen: list[int] = []
        while len(seen) < _WARM_FACTOR * max(least, _WINDOW):
            self.stop.check("warming up")
            start = self.timer()
            seen.extend(self.timer() - start for _ in run())
            if len(seen) % _WINDOW == 0 and is_settled(seen, _WINDOW):
                break
        self.warmed += len(seen)
        self.settled = is_settled(seen, min(_WINDOW, len(seen) // 2))

    def block(self, run: Callable[[], Iterator[Any]], count: int, settle: int = SETTLE) -> None:
        """Time calls until at least `count` more results are there; all of them are kept."""
        latencies, stop = self.latencies, self.stop
        self.starts.append(len(latencies))
        target = len(latencies) + count
        calls = self._plain if self.inner == 1 and self.device is None else self._repeated
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()
        warmed = self.warmed
        try:
            self.warm(run, settle, "timing")
            cpu = time.process_time_ns()
            begin = self.timer()
            calls(run, target)
            self.wall_ns += self.timer() - begin
            self.cpu_ns += time.process_time_ns() - cpu
        finally:
            self.warmed = warmed  # the warm-up is what came before the first block
            if collecting:
                gc.enable()
        stop.check(f"timing, after {len(latencies)} samples")

    def sample(
        self,
        run: Callable[[], Iterator[Any]],
        limits: Limits,
        report: Callable[[int], None],
        between: Callable[[], None] = lambda: None,
    ) -> str:
        """Take samples until the median is known well enough; why it ended.

        Args:
            run: One call.
            limits: When to end.
            report: Told how many samples there are, after each block.
            between: Called after each block.
        """
        for number in range(BLOCKS):
            due = limits.samples * (number + 1) // BLOCKS - len(self.latencies)
            if due <= 0:  # fewer samples than blocks
                continue
            self.block(run, due)
            between()
            report(len(self.latencies))
        enough_ns = self.wall_ns + limits.seconds * 1e9
        while not is_precise(self.latencies):
            if len(self.latencies) >= limits.most:
                return "most samples"
            if self.wall_ns >= enough_ns:
                return "most seconds"
            self.block(run, max(limits.samples // BLOCKS, 1))
            between()
        return "median known to 1 %"

    def paced(self, run: Callable[[], Iterator[Any]], count: int, period_ns: int) -> None:
        """Open loop: call k is due at k periods, and its latency counts from then.

        A call that comes late because the one before it was slow has waited, and its latency says
        so; none is dropped. Between two calls the processor spins: a sleep would add its own.

        Args:
            run: One call.
            count: Results to keep, at least.
            period_ns: Time between two arrivals.
        """
        timer, keep, stop = self.timer, self.latencies.append, self.stop
        self.starts.append(len(self.latencies))
        gc.collect()
        gc.disable()
        try:
            cpu, begin = time.process_time_ns(), timer()
            for number in itertools.count():
                if len(self.latencies) >= count or stop.requested:
                    break
                due = begin + number * period_ns
                while (now := timer()) < due:
                    pass
                self.backlog_max = max(self.backlog_max, (now - due) // period_ns)
                for self.last in run():
                    keep(timer() - due)
            self.wall_ns += timer() - begin
            self.cpu_ns += time.process_time_ns() - cpu
        finally:
            gc.enable()
        stop.check(f"timing, after {len(self.latencies)} samples")

    def _plain(self, run: Callable[[], Iterator[Any]], target: int) -> None:
        """The loop with nothing in it that a call could do without."""
        timer, latencies, stop = self.timer, self.latencies, self.stop
        keep = latencies.append
        result = self.last
        while len(latencies) < target and not stop.requested:
            start = timer()
            for result in run():  # noqa: B007  # the last one is checked afterwards
                keep(timer() - start)
        self.last = result

    def _repeated(self, run: Callable[[], Iterator[Any]], target: int) -> None:
        """Several calls per latency; after each, one more by the device's clock alone.

        To queue an event costs the host a microsecond, which is in no latency. Those calls are in
        neither sum of times: a rate is of the calls that latencies are of.
        """
        timer, inner, device = self.timer, self.inner, self.device
        while len(self.latencies) < target and not self.stop.requested:
            start = timer()
            for _ in range(inner):
                for self.last in run():
                    pass
            spent = timer() - start
            self.latencies.append(round(spent / inner))
            if device is not None:
                cpu, begin = time.process_time_ns(), timer()
                device.start()
                for self.last in run():
                    pass
                self.device_ns.append(device.stop())
                self.wall_ns -= timer() - begin
                self.cpu_ns -= time.process_time_ns() - cpu


def calibrated_inner(run: Callable[[], Iterator[Any]], timer: Timer) -> int:
    """Calls per sample that make it last 100 readings of the clock; 1 for all but the shortest."""
    least = _TIMER_SHARE * timer_overhead_ns(timer)
    spans = []
    for _ in range(_WINDOW):
        start = timer()
        for _ in run():
            pass
        spans.append(timer() - start)
    one = sorted(spans)[len(spans) // 2]
    if one >= least:
        return 1
    return min(_MOST_INNER, math.ceil(least / max(one, 1)))


def timer_overhead_ns(timer: Timer) -> int:
    """Median time between two readings of the clock in a row: part of every latency."""
    readings = [timer() for _ in range(1001)]
    gaps = sorted(after - before for before, after in itertools.pairwise(readings))
    return gaps[len(gaps) // 2]
