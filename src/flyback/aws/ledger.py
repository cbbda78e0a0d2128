"""The create-ledger: every create call is written down before it is made.

After a crash the ledger says what may exist, so the certificate asks for each entry by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from flyback.spec.clock import Clock
from flyback.spec.codec import encode, loads

__all__ = ["FileLedger", "Ledger", "LedgerEntry", "NoLedger"]


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One create call: first as an intention, then with what it made.

    Args:
        at: Seconds since the epoch.
        service: As botocore names it.
        operation: As the API names it.
        name: Token or name under which the thing can be found again.
        made: Identifiers from the answer; empty in the intention.
        scope: Run id, or `stack`.
    """

    at: float
    service: str
    operation: str
    name: str
    scope: str
    made: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """Where create calls are written down."""

    def intend(self, service: str, operation: str, name: str, scope: str) -> None:
        """Written before the call; durable when this returns."""
        ...

    def made(self, service: str, operation: str, name: str, scope: str, *made: str) -> None:
        """Written after the call succeeded, with the identifiers that it answered."""
        ...


class NoLedger:
    """For sessions that never create (the agent writes objects and log lines only)."""

    def intend(self, service: str, operation: str, name: str, scope: str) -> None:
        raise AssertionError(f"no ledger for {service}:{operation} of {name} in {scope}")

    def made(self, service: str, operation: str, name: str, scope: str, *made: str) -> None:
        raise AssertionError(f"no ledger for {service}:{operation}: {name} in {scope}, {made}")


class FileLedger:
    """JSON lines in a file, flushed to disk one by one."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    def intend(self, service: str, operation: str, name: str, scope: str) -> None:
        self._append(service, operation, name, scope, ())

    def made(self, service: str, operation: str, name: str, scope: str, *made: str) -> None:
        self._append(service, operation, name, scope, made)

    def entries(self) -> Iterator[LedgerEntry]:
        """All entries, oldest first; a torn last line (a crash while writing) is passed over."""
        if not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                yield loads(LedgerEntry, line)
            except ValueError:
                continue

    def _append(
        self, service: str, operation: str, name: str, scope: str, made: tuple[str, ...]
    ) -> None:
        entry = LedgerEntry(
            at=self._clock.now(),
            service=service,
            operation=operation,
            name=name,
            scope=scope,
            made=made,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            if not self._is_whole():
                file.write("\n")  # a crash tore the last line; this one must not go with it
            file.write(json.dumps(encode(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _is_whole(self) -> bool:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            return file.read() in (b"", b"\n")
