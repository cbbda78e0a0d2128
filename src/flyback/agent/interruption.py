"""The spot interruption notice: two minutes' warning, looked for as AWS advises, every 5 s.

A rebalance recommendation only says that a notice is likelier than usual: the checkpoint that is
there goes up, and the job goes on. Source: EC2 user guide, "Spot Instance interruption notices" and
"EC2 instance rebalance recommendations".
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable

from flyback.agent.journal import Journal
from flyback.agent.metadata import Metadata
from flyback.agent.supervise import Stop
from flyback.errors import FlybackError, ServiceError

__all__ = ["PERIOD_S", "Interruption"]

PERIOD_S = 5.0
_GRACE_S = 45.0  # of the 120 s: the rest is for uploads


class Interruption:
    """Ends the job when EC2 says that it takes the machine back.

    Args:
        metadata: Carries the notice at `spot/instance-action`.
        journal: Told once of each.
        save: Brings the newest checkpoint home.
    """

    def __init__(self, metadata: Metadata, journal: Journal, save: Callable[[], object]) -> None:
        self._metadata = metadata
        self._journal = journal
        self._save = save
        self._warned = False
        self.due = 0.0
        self.noticed = False

    def tick(self, now: float) -> Stop | None:
        """Look; a service that does not answer just now is asked again."""
        self.due = now + PERIOD_S
        notice = None
        with contextlib.suppress(ServiceError):
            notice = self._metadata.get("spot/instance-action")
        if notice is None:
            self._heed()
            return None
        self.due = math.inf
        self.noticed = True
        self._journal.tell("interruption-notice", **_fields(notice))
        return Stop(reason="interrupted", grace_s=_GRACE_S)

    def _heed(self) -> None:
        """Save on a rebalance recommendation, once: it stays up until the machine goes."""
        if self._warned:
            return
        with contextlib.suppress(FlybackError, OSError):
            told = self._metadata.get("events/recommendations/rebalance")
            if told is not None:
                self._warned = True
                self._journal.tell("rebalance")
                self._save()


def _fields(notice: str) -> dict[str, str]:
    try:
        fields = json.loads(notice)
    except ValueError:
        return {"notice": notice}
    return {"action": str(fields.get("action")), "time": str(fields.get("time"))}
