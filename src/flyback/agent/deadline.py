"""The agent's own watch on the deadline: early enough to save, upload and write the marker.

It is the polite one of several; the machine's `shutdown` timer and the schedules outside don't ask.
An extension reaches the machine through its own tag, which the metadata service shows as it is: the
agent reads it every minute, and lets the boot program set the machine's timer anew. It plans by the
new deadline once that has succeeded: a timer that stays behind would end the job unsaved.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flyback.agent.journal import Journal
from flyback.agent.metadata import Metadata
from flyback.agent.supervise import Stop
from flyback.errors import ServiceError

__all__ = ["Deadline", "deadline_tag", "margin_s"]

_MOST_MARGIN_S = 180.0
_SHARE_OF_LEASE = 0.25
_LOOK_S = 60.0
_SHARE_FOR_GRACE = 1 / 3


def margin_s(lease_s: float) -> float:
    """Seconds before the deadline at which the job is asked to end.

    Three minutes: one for the job to checkpoint, one for uploads, and one because the machine's
    own timer counts whole minutes downwards. A quarter of the lease where that is shorter.
    """
    return min(_MOST_MARGIN_S, max(lease_s, 0.0) * _SHARE_OF_LEASE)


def deadline_tag(metadata: Metadata) -> float | None:
    """What the machine's tag says just now, in seconds since the epoch; None where it says none."""
    try:
        return float(int(metadata.get("tags/instance/flyback:deadline") or ""))
    except (ServiceError, ValueError):
        return None


class Deadline:
    """Ends the job before nothing may bill any more.

    Args:
        deadline: As the launch says it, seconds since the epoch.
        created: When the lease began.
        journal: Told once, and of every move.
        moved: Gives the deadline that the machine's tag says now, or None; called every minute.
        rearm: Sets the machine's own timer by its tag; whether it is set.
        armed: What that timer was set by at boot, if somebody knows. The deadline may have moved
            since.
    """

    def __init__(
        self,
        deadline: float,
        created: float,
        journal: Journal,
        moved: Callable[[], float | None] = lambda: None,
        rearm: Callable[[], bool] = lambda: True,
        armed: float | None = None,
    ) -> None:
        self._armed = deadline if armed is None else armed
        self._deadline = min(deadline, self._armed)
        self._margin = margin_s(deadline - created)
        self._journal = journal
        self._moved = moved
        self._rearm = rearm
        self._look = 0.0
        self.due = 0.0

    def tick(self, now: float) -> Stop | None:
        """Ask the job to end, where it is time."""
        if now >= self._look:
            self._look = now + _LOOK_S
            self._follow()
        ends = self._deadline - self._margin
        if now < ends:
            self.due = min(self._look, ends)
            return None
        self.due = math.inf
        self._journal.tell("deadline", deadline=self._deadline, seconds_left=self._deadline - now)
        return Stop(reason="deadline", grace_s=self._margin * _SHARE_FOR_GRACE)

    def _follow(self) -> None:
        """Let the timer, then the plan, say what the tag says; an earlier one holds at once."""
        found = self._moved()
        if found is None:
            return
        self._deadline = min(found, self._armed)
        if found != self._armed and self._rearm():
            self._journal.tell("extended", deadline=found, was=self._armed)
            self._deadline = self._armed = found
