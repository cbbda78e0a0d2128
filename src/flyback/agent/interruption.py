"""The spot interruption notice: two minutes' warning, looked for as AWS advises, every 5 s.

Source: EC2 user guide, "Spot Instance interruption notices".
"""

from __future__ import annotations

import contextlib
import json
import math

from flyback.agent.journal import Journal
from flyback.agent.metadata import Metadata
from flyback.agent.supervise import Stop
from flyback.errors import ServiceError

__all__ = ["PERIOD_S", "Interruption"]

PERIOD_S = 5.0
_GRACE_S = 45.0  # of the 120 s: the rest is for uploads


class Interruption:
    """Ends the job when EC2 says that it takes the machine back.

    Args:
        metadata: Carries the notice at `spot/instance-action`.
        journal: Told once.
    """

    def __init__(self, metadata: Metadata, journal: Journal) -> None:
        self._metadata = metadata
        self._journal = journal
        self.due = 0.0
        self.noticed = False

    def tick(self, now: float) -> Stop | None:
        """Look; a service that does not answer just now is asked again."""
        self.due = now + PERIOD_S
        notice = None
        with contextlib.suppress(ServiceError):
            notice = self._metadata.get("spot/instance-action")
        if notice is None:
            return None
        self.due = math.inf
        self.noticed = True
        self._journal.tell("interruption-notice", **_fields(notice))
        return Stop(reason="interrupted", grace_s=_GRACE_S)


def _fields(notice: str) -> dict[str, str]:
    try:
        fields = json.loads(notice)
    except ValueError:
        return {"notice": notice}
    return {"action": str(fields.get("action")), "time": str(fields.get("time"))}
