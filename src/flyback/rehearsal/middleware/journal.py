"""Every request that the emulated cloud received, and how it ended."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.naming import model_of
from flyback.rehearsal.serialising import error_code_of
from flyback.spec.codec import dumps, write_atomic

__all__ = ["Entry", "Journal", "is_mutating"]

# Operations that change nothing, by the verb that AWS names them with. STS hands out credentials,
# which are no resources; Detect… starts an inspection.
_READS = re.compile(
    r"^(Get|List|Describe|Head|BatchGet|BatchCheck|Lookup|Search|Filter|Test|Validate|Simulate"
    r"|Estimate|Preview|Select|Query|Scan|Check|Detect|Decode|StartQuery|StartLiveTail)"
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request.

    Args:
        number: Counts from 1, in order of arrival.
        time: Simulated seconds since the epoch.
        service: As botocore names it.
        operation: As the API names it; empty where it was not recognised.
        region: From the signature.
        principal: Who claimed to sign; the authorizer may have refused them.
        via: The service that called on the principal's behalf, or empty.
        mutating: Whether such a request changes anything.
        status: HTTP status; 0 where the connection was dropped.
        error: AWS's error code; empty where it succeeded.
    """

    number: int
    time: float
    service: str
    operation: str
    region: str
    principal: str
    via: str
    mutating: bool
    status: int
    error: str


class Journal:
    """Writes every request down.

    Args:
        now: Simulated seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def __call__(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        time = self._now()
        status, error = 0, "ConnectionDropped"
        try:
            response = forward(call)
        except AwsError as refused:
            status, error = refused.status, refused.code
            raise
        else:
            status, error = response.status, error_code_of(response)
            return response
        finally:
            entry = Entry(
                number=call.number,
                time=time,
                service=call.service,
                operation=call.operation,
                region=call.region,
                principal=call.principal,
                via=call.via,
                mutating=is_mutating(call),
                status=status,
                error=error,
            )
            with self._lock:
                self._entries.append(entry)

    def entries(self, *, after: int = 0) -> tuple[Entry, ...]:
        """Requests that have been answered, by number.

        Args:
            after: Only those that arrived after this number.
        """
        with self._lock:
            kept = [entry for entry in self._entries if entry.number > after]
        return tuple(sorted(kept, key=lambda entry: entry.number))

    def mutating(self, *, after: int = 0) -> tuple[Entry, ...]:
        """Requests that change something, whoever made them, successful or not."""
        return tuple(entry for entry in self.entries(after=after) if entry.mutating)

    @property
    def last(self) -> int:
        """Number of the latest request that has been answered; 0 at first."""
        with self._lock:
            return max((entry.number for entry in self._entries), default=0)

    def write(self, path: Path) -> None:
        """Write the journal as JSON lines, atomically."""
        lines = [dumps(dataclasses.asdict(entry)) + "\n" for entry in self.entries()]
        write_atomic(path, "".join(lines).encode())


def is_mutating(call: Call) -> bool:
    """Whether a request asks for a change: by its method, its model, its name, and `DryRun`."""
    if call.service == "sts" or call.params.get("DryRun"):
        return False
    if not call.operation:
        return call.environ.get("REQUEST_METHOD") not in ("GET", "HEAD", "OPTIONS")
    operation = model_of(call.service).operation_model(call.operation)
    described = getattr(operation, "_operation_model", {})  # botocore keeps the trait to itself
    if described.get("readonly"):
        return False
    if "rest" in operation.service_model.protocol and call.environ.get("REQUEST_METHOD") == "GET":
        return False
    return _READS.match(call.operation) is None
