"""The agent's own watch on the deadline: early enough to save, upload and write the marker.

It is the polite one of several; the machine's `shutdown` timer and the schedules outside don't ask.
"""

from __future__ import annotations

import math

from flyback.agent.journal import Journal
from flyback.agent.supervise import Stop

__all__ = ["Deadline", "margin_s"]

_MOST_MARGIN_S = 180.0
_SHARE_OF_LEASE = 0.25
_SHARE_FOR_GRACE = 1 / 3


def margin_s(lease_s: float) -> float:
    """Seconds before the deadline at which the job is asked to end.

    Three minutes: one for the job to checkpoint, one for uploads, and one because the machine's
    own timer counts whole minutes downwards. A quarter of the lease where that is shorter.
    """
    return min(_MOST_MARGIN_S, max(lease_s, 0.0) * _SHARE_OF_LEASE)


class Deadline:
    """Ends the job before nothing may bill any more.

    Args:
        deadline: Seconds since the epoch.
        created: When the lease began.
        journal: Told once.
    """

    def __init__(self, deadline: float, created: float, journal: Journal) -> None:
        self._deadline = deadline
        self._margin = margin_s(deadline - created)
        self._journal = journal
        self.due = deadline - self._margin

    def tick(self, now: float) -> Stop:
        """Ask the job to end."""
        self.due = math.inf
        self._journal.tell("deadline", deadline=self._deadline, seconds_left=self._deadline - now)
        return Stop(reason="deadline", grace_s=self._margin * _SHARE_FOR_GRACE)
