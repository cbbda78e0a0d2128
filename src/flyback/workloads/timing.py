"""The timed loop: one latency per result, all kept.

Standard library alone. What happens between two blocks (a progress line, and a few calls that warm
the caches again) is in no latency and in no wall time; which calls those are is fixed beforehand.
"""

from __future__ import annotations

import gc
import itertools
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flyback.workloads.stopping import Stop

__all__ = ["BLOCKS", "SETTLE", "Timer", "Timing", "timer_overhead_ns"]

Timer = Callable[[], int]
"""Nanoseconds on a clock that never goes back."""

BLOCKS = 10
"""Blocks that the samples are taken in."""

SETTLE = 8
"""Results computed and not timed before each block, to warm the caches again."""


@dataclass
class Timing:
    """Latencies and what they were taken under.

    Args:
        timer: The clock.
        stop: Asked before each call.

    Attributes:
        latencies: One per result, from the start of its call, ns (int64).
        starts: Index of each block's first latency.
        wall_ns: From each block's first call to its last result, summed.
        cpu_ns: Processor time of this process in the same spans.
        last: The last result.
    """

    timer: Timer
    stop: Stop
    latencies: array[int] = field(default_factory=lambda: array("q"))
    starts: list[int] = field(default_factory=list)
    wall_ns: int = 0
    cpu_ns: int = 0
    last: Any = None

    def warm(self, run: Callable[[], Iterator[Any]], count: int, doing: str) -> None:
        """Compute at least `count` results without keeping a time."""
        while count > 0:
            self.stop.check(doing)
            count -= sum(1 for _ in run())

    def block(self, run: Callable[[], Iterator[Any]], count: int) -> None:
        """Time calls until at least `count` more results are there; all of them are kept."""
        timer, keep, latencies, stop = self.timer, self.latencies.append, self.latencies, self.stop
        self.starts.append(len(latencies))
        target = len(latencies) + count
        result = self.last
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()
        try:
            self.warm(run, SETTLE, "timing")
            cpu = time.process_time_ns()
            begin = timer()
            while len(latencies) < target and not stop.requested:
                start = timer()
                for result in run():  # noqa: B007  # the last one is checked afterwards
                    keep(timer() - start)
            self.wall_ns += timer() - begin
            self.cpu_ns += time.process_time_ns() - cpu
        finally:
            if collecting:
                gc.enable()
        self.last = result
        stop.check(f"timing, after {len(latencies)} samples")


def timer_overhead_ns(timer: Timer) -> int:
    """Median time between two readings of the clock in a row: part of every latency."""
    readings = [timer() for _ in range(1001)]
    gaps = sorted(after - before for before, after in itertools.pairwise(readings))
    return gaps[len(gaps) // 2]
