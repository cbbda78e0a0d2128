"""Bringing files home: each is tried again before it is given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flyback.agent.journal import Journal
from flyback.errors import ConflictError, FlybackError
from flyback.spec.clock import Clock
from flyback.store.protocol import Store

__all__ = ["Uploads"]

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each further try


class Uploads:
    """Uploads with retries, and what became of them.

    Args:
        store: Where to.
        clock: For the pauses.
        journal: Told of every retry.
        between: Called after every file, so that the heartbeat goes on.
    """

    def __init__(
        self, store: Store, clock: Clock, journal: Journal, between: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._journal = journal
        self._between = between
        self.bytes = 0
        self.failed: list[str] = []

    def file(self, key: str, path: Path) -> None:
        """Upload a file; one that can't be brought home is listed in `failed`."""
        pauses = () if self.failed else _PAUSES_S  # one dead store is waited for once
        try:
            self._patiently(key, lambda: self._store.put_file(key, path), pauses)
            self.bytes += path.stat().st_size
        except (FlybackError, OSError, UnicodeError) as error:
            self.failed.append(f"{key}: {error}")
        self._between()

    def text(self, key: str, text: str) -> None:
        """Upload a text; one that can't be brought home is listed in `failed`."""
        pauses = () if self.failed else _PAUSES_S
        try:
            self._patiently(key, lambda: self._store.put(key, text.encode()), pauses)
            self.bytes += len(text.encode())
        except (FlybackError, OSError, UnicodeError) as error:
            self.failed.append(f"{key}: {error}")

    def once(self, key: str, text: str) -> bool:
        """Write what is written once; whether it stands there now as we wrote it.

        Raises:
            FlybackError: it can't be written.
        """
        data = text.encode()
        try:
            self._patiently(key, lambda: self._store.put(key, data, if_absent=True), _PAUSES_S)
        except ConflictError:
            # ours, where only the answer to an earlier try was lost
            return self._store.get(key) == data
        return True

    def _patiently(self, key: str, put: Callable[[], object], pauses: tuple[float, ...]) -> None:
        for number, pause in enumerate((*pauses, None), start=1):
            try:
                put()
            except ConflictError:
                raise
            except (FlybackError, OSError) as error:
                if pause is None:
                    raise
                self._journal.tell("upload-retried", key=key, error=str(error), tries=number)
                self._clock.sleep(pause)
            else:
                return
