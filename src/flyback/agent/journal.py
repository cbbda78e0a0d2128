"""events.jsonl: what happened, line by line, in the store as soon as it happened."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from flyback.errors import FlybackError
from flyback.spec.clock import Clock
from flyback.spec.codec import dumps
from flyback.spec.event import Event, EventKind
from flyback.store.protocol import Store

__all__ = ["Journal"]


class Journal:
    """Writes events of one attempt.

    Args:
        path: The file here.
        attempt: Number that each event carries.
        clock: Gives each event its time.
        store: Where watchers read it.
        key: Under which name.
    """

    def __init__(self, path: Path, attempt: int, clock: Clock, store: Store, key: str) -> None:
        self.path = path
        self._attempt = attempt
        self._clock = clock
        self._store = store
        self._key = key

    def tell(self, kind: EventKind, /, **detail: Any) -> None:
        """Write an event down and show it; a store that fails just now sees it with the next."""
        event = Event(at=self._clock.now(), kind=kind, attempt=self._attempt, detail=detail)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(dumps(event) + "\n")
        with contextlib.suppress(FlybackError):
            self._store.put_file(self._key, self.path)
