"""The guardian's create-ledger: one object per entry, beside the run that it is for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flyback.aws.ledger import LedgerEntry
from flyback.errors import NotFoundError
from flyback.spec.clock import Clock
from flyback.spec.codec import dumps, loads
from flyback.spec.paths import RunPaths
from flyback.store.protocol import Store

__all__ = ["StoreLedger", "entries"]


class StoreLedger:
    """Writes each entry before, and after, the call that it is about."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def intend(self, service: str, operation: str, name: str, scope: str) -> None:
        self._write("intended", service, operation, name, scope)

    def made(self, service: str, operation: str, name: str, scope: str, *made: str) -> None:
        self._write("made", service, operation, name, scope, *made)

    def _write(
        self, when: str, service: str, operation: str, name: str, scope: str, *made: str
    ) -> None:
        entry = LedgerEntry(
            at=self._clock.now(),
            service=service,
            operation=operation,
            name=name,
            scope=scope,
            made=made,
        )
        key = f"{RunPaths(scope).ledger}/{operation}-{name}-{when}.json"
        self._store.put(key, (dumps(entry) + "\n").encode())


def entries(store: Store, run_id: str) -> Iterator[LedgerEntry]:
    """What the guardian has written down for a run.

    Machines write beside it: what is no entry is passed over.
    """
    for item in store.list(f"{RunPaths(run_id).ledger}/"):
        with contextlib.suppress(ValueError, NotFoundError):
            yield loads(LedgerEntry, store.get(item.key))
