"""heartbeat.json: the sign of life that the guardian looks for, with the log's last lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from flyback.errors import FlybackError
from flyback.store.protocol import Store

__all__ = ["PERIOD_S", "Heartbeat"]

PERIOD_S = 30.0


class Heartbeat:
    """Beats twice a minute; one that is lost is followed by the next.

    Args:
        store: Where to.
        key: Under which name.
        facts: Gives what a beat says beside its time.
    """

    def __init__(self, store: Store, key: str, facts: Callable[[], dict[str, Any]]) -> None:
        self._store = store
        self._key = key
        self._facts = facts
        self.due = 0.0

    def tick(self, now: float) -> None:
        """Beat."""
        self.due = now + PERIOD_S
        text = json.dumps({"at": now, **self._facts()}, separators=(",", ":"))
        with contextlib.suppress(FlybackError):
            self._store.put(self._key, text.encode() + b"\n")
