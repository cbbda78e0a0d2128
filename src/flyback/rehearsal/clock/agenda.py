"""What is due when: scheduled actions and pending waits in one deterministic order."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Agenda", "ClockError", "Handle", "Wait", "Work"]


class ClockError(RuntimeError):
    """The clock is closed, an event of the rehearsal failed, or somebody misuses the clock."""


@dataclass(eq=False)
class Handle:
    """A scheduled action.

    Args:
        due: Simulated time at which it runs, in seconds since the epoch.
        action: What runs.
        over: It has run, or it was cancelled.
    """

    due: float
    action: Callable[[], object]
    over: bool = False

    def cancel(self) -> None:
        """Take it back; does nothing once it has run."""
        self.over = True


@dataclass(eq=False)
class Work:
    """A child that computes: its simulated time is its measured time multiplied by the factor.

    Args:
        owner: Name of its parent.
        start: Simulated time from which it is measured.
        since: Real time from which it is measured.
        end: Simulated time at which it ended; None while it computes.
    """

    owner: str
    start: float
    since: float
    end: float | None = None


@dataclass(eq=False)
class Wait:
    """One pending wait.

    Args:
        due: Simulated time at which it ends.
        work: The child that computes meanwhile.
        said_by: Whose child it is, where a child says by this wait how long it works.
        over: It has ended.
        at: Simulated time at which it ended.
        error: Why it failed.
        done: Set when it has ended.
    """

    due: float
    work: Work | None = None
    said_by: str | None = None
    over: bool = False
    at: float = 0.0
    error: ClockError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Agenda:
    """Actions and waits by due time.

    At equal times first the actions as they were put in, then the children that said how long they
    work, then the waits, each by the order in which their participants first joined: two threads
    that race into a wait come out in one order, and a parent sees what its child did by then.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, int, int, Handle | Wait]] = []
        self._inserted = 0

    def put_action(self, handle: Handle) -> None:
        """Put in an action."""
        self._put(handle, 0, 0)

    def put_wait(self, wait: Wait, order: int) -> None:
        """Put in a wait, again whenever its due time has changed."""
        self._put(wait, 2 if wait.said_by is None else 1, order)

    def first(self) -> Handle | Wait | None:
        """What is due next; None where nothing is."""
        while self._queue:
            due, _, _, _, item = self._queue[0]
            if not item.over and item.due == due:
                return item
            heapq.heappop(self._queue)  # cancelled, ended early, or put in again
        return None

    def pop(self) -> None:
        """Take out what `first` gave."""
        heapq.heappop(self._queue)

    def _put(self, item: Handle | Wait, rank: int, order: int) -> None:
        self._inserted += 1
        heapq.heappush(self._queue, (item.due, rank, order, self._inserted, item))
