"""Many things at once in simulated time: each starts when what it waits for has ended.

CloudFormation works on independent resources in parallel. Here one thread plays them all: it
starts everything that may start, sleeps until the first of them is due, ends that one, and looks
again. Ties go by name, so the order is the same every time.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flyback.spec.clock import Clock

__all__ = ["Outcome", "Work", "run"]


class Work(Protocol):
    """What is done with each name."""

    def start(self, name: str) -> float | None:
        """Begin; the simulated seconds that it takes, None where nothing is to be done."""
        ...

    def finish(self, name: str) -> bool:
        """It has ended; whether it went well."""
        ...

    def cancel(self, name: str) -> None:
        """It is under way, and given up because another failed."""
        ...

    def stopped(self) -> bool:
        """Whether nothing more shall be done."""
        ...


@dataclass
class Outcome:
    """What became of each name.

    Args:
        done: Ended well, in that order.
        failed: Ended badly, in that order.
        cancelled: Given up under way.
        stopped: Somebody asked to stop; what was under way is in `cancelled`.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    stopped: bool = False


def run(before: Mapping[str, Collection[str]], work: Work, clock: Clock, *, halt: bool) -> Outcome:
    """Do the work for each name, in parallel, each after those that it waits for.

    Args:
        before: Names with those that must have ended well first.
        work: What is done.
        clock: Simulated.
        halt: Whether the first failure ends everything; else only what waits for it is left.
    """
    outcome = Outcome()
    waiting = {name: set(others) & set(before) for name, others in before.items()}
    under_way: list[tuple[float, str]] = []
    while True:
        _start_ready(waiting, under_way, outcome, work, clock.now())
        if not under_way:
            return outcome
        due, name = under_way[0]
        clock.sleep(due - clock.now())
        if work.stopped():
            outcome.stopped = True
            outcome.cancelled.extend(name for _, name in sorted(under_way))
            return outcome
        heapq.heappop(under_way)
        if work.finish(name):
            outcome.done.append(name)
            _release(waiting, name)
            continue
        outcome.failed.append(name)
        if halt:
            for _, other in sorted(under_way):
                work.cancel(other)
                outcome.cancelled.append(other)
            return outcome


def _start_ready(
    waiting: dict[str, set[str]],
    under_way: list[tuple[float, str]],
    outcome: Outcome,
    work: Work,
    now: float,
) -> None:
    while True:
        ready = sorted(name for name, others in waiting.items() if not others)
        if not ready:
            return
        for name in ready:
            del waiting[name]
        for name in ready:
            seconds = work.start(name)
            if seconds is None:
                outcome.done.append(name)
                _release(waiting, name)
            else:
                heapq.heappush(under_way, (now + seconds, name))


def _release(waiting: dict[str, set[str]], name: str) -> None:
    for others in waiting.values():
        others.discard(name)
