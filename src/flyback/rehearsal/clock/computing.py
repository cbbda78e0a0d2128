"""The children that compute: how far the time of each has come.

A child's simulated time is its measured time multiplied by the factor, and besides, as long as it
says. With a factor of 0 only what it says counts: until it says something or ends it runs, as a
participant does, so nothing that it does depends on how fast this computer is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from flyback.rehearsal.clock.agenda import Wait, Work

__all__ = ["Computing"]


class Computing:
    """Keeps every child that somebody waits for.

    Args:
        factor: Simulated seconds per measured second.
        real: Source of real time, in seconds.
    """

    def __init__(self, factor: float, real: Callable[[], float]) -> None:
        self._factor = factor
        self._real = real
        self._works: dict[tuple[str, int], Work] = {}
        self._said: dict[str, list[Wait]] = {}

    def begin(self, name: str, pid: int, now: float) -> Work:
        """The child `pid` of `name`, which is waited for from now on."""
        work = self._works.setdefault((name, pid), Work(name, now, self._real()))
        if work.end is None:
            # Time went on without asking the child: what passed for everybody passed for it too.
            work.start += max(now - self._position(work), 0.0)
        return work

    def end(self, name: str, pid: int, now: float) -> Work | None:
        """The child has ended just now; None where that is known already."""
        work = self._works.get((name, pid))
        if work is None:
            self._works[name, pid] = Work(name, now, self._real(), now)
            return None
        if work.end is not None:
            return None
        cut_short = self._said.get(name)
        work.end = now if cut_short else max(self._position(work), now)
        return work

    def say(self, name: str, seconds: float, now: float) -> Wait:
        """A child of `name` works so many seconds more, counted from where it has come to."""
        begun = [work for work in self._works.values() if work.owner == name and work.end is None]
        # It may speak before its parent came to wait for it; time stands still meanwhile.
        wait = Wait(max([now, *map(self._position, begun)]) + seconds, said_by=name)
        self._said.setdefault(name, []).append(wait)
        return wait

    def said(self, name: str | None = None) -> tuple[Wait, ...]:
        """What children of `name`, or of anybody, have said and not yet worked."""
        names = self._said if name is None else (name,)
        return tuple(wait for one in names for wait in self._said.get(one, ()))

    def worked(self, wait: Wait, now: float) -> None:
        """A child has worked as long as it said, or was disturbed: it computes again."""
        name = wait.said_by or ""
        self._said[name].remove(wait)
        for work in self._works.values():
            if work.owner == name and work.end is None:
                work.start, work.since = now, self._real()

    def forget(self, name: str) -> None:
        """Nobody waits for the children of `name` any more."""
        for key in [key for key in self._works if key[0] == name]:
            del self._works[key]

    def reach(self, works: Iterable[Work]) -> tuple[float, float]:
        """How far these let time go just now, and how fast that moves (simulated s per real s)."""
        measured = [work for work in works if not self._said.get(work.owner)]
        if not measured:
            return math.inf, 0.0  # what they said is on the agenda
        if self._factor == 0:
            return -math.inf, 0.0
        return min(map(self._position, measured)), self._factor

    def _position(self, work: Work) -> float:
        return work.start + self._factor * (self._real() - work.since)
