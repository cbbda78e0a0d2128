"""Failures on purpose: which request fails, how, and how often it did."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response

__all__ = ["Armed", "DroppedError", "Fault", "Faults", "Hit"]


class DroppedError(ConnectionError):
    """The connection is closed without an answer."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A failure to act out.

    Args:
        service: As botocore names it; `*` for every one.
        operation: As the API names it; `*` for every one.
        calls: Which of the requests that match it fail, counted from 1 since the fault was
            added; empty: every one.
        rate: Of those, the share that fails, drawn from the rehearsal's seed.
        code: AWS's error code.
        message: AWS's sentence.
        status: HTTP status.
        drop: Instead of an error, close the connection without an answer.
        late: Act after the request has taken effect: its answer is lost.
        via: Who calls on the principal's behalf (`cloudformation`); empty: only what the principal
            asks itself; `*`: either.
        principal: ARN of who signs; `*` for everybody.
    """

    service: str
    operation: str
    calls: tuple[int, ...] = ()
    rate: float = 1.0
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    status: int = 500
    drop: bool = False
    late: bool = False
    via: str = "*"
    principal: str = "*"

    def matches(self, call: Call) -> bool:
        """Whether a request is one of those that this fault counts."""
        return (
            self.service in ("*", call.service)
            and self.operation in ("*", call.operation)
            and self.via in ("*", call.via)
            and self.principal in ("*", call.principal)
        )


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A request that a fault failed.

    Args:
        call: The request's number.
        service: As botocore names it.
        operation: As the API names it.
        error: The error code, or `drop`.
    """

    call: int
    service: str
    operation: str
    error: str


@dataclass(eq=False)
class Armed:
    """A fault and what came of it; once disarmed, it counts no more.

    Attributes:
        seen: Requests that match it.
        acted: Of those, the ones that it failed.
    """

    fault: Fault
    seen: int = 0
    acted: int = 0


class Faults:
    """Acts out faults, in the order in which they were added.

    Args:
        seed: Decides which requests a fault with a rate below 1 fails.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a rehearsal repeats itself
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self._hits: list[Hit] = []

    def add(self, *faults: Fault) -> tuple[Armed, ...]:
        """Arm faults; each counts requests from now on."""
        armed = tuple(Armed(fault) for fault in faults)
        with self._lock:
            self._armed += armed
        return armed

    def clear(self) -> None:
        """Disarm all faults; the hits stay on record."""
        with self._lock:
            self._armed = []

    @property
    def armed(self) -> tuple[Fault, ...]:
        """Faults that may still act."""
        with self._lock:
            return tuple(armed.fault for armed in self._armed)

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Requests that faults failed, in order."""
        with self._lock:
            return tuple(self._hits)

    def __call__(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        due = self._due(call)
        _act([fault for fault in due if not fault.late])
        response = forward(call)
        _act(due)
        return response

    def _due(self, call: Call) -> list[Fault]:
        """The faults that this request meets; the first to act is the only one that is a hit."""
        due = []
        with self._lock:
            for armed in self._armed:
                if not armed.fault.matches(call):
                    continue
                armed.seen += 1
                counted = not armed.fault.calls or armed.seen in armed.fault.calls
                if counted and self._random.random() < armed.fault.rate:
                    due.append(armed)
            if due:
                first = min(due, key=lambda armed: armed.fault.late)
                first.acted += 1
                error = "drop" if first.fault.drop else first.fault.code
                self._hits.append(
                    Hit(
                        call=call.number,
                        service=call.service,
                        operation=call.operation,
                        error=error,
                    )
                )
        return [armed.fault for armed in due]

    def serve(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add the faults of a request to `/_flyback/faults`, whose fields are `Fault`'s.

        Raises:
            ValueError: a field is unknown, missing or of another type.
        """
        from flyback.spec.codec import decode, encode

        self.add(*(decode(Fault, item) for item in body.get("faults", [])))
        return {"armed": encode(self.armed), "hits": encode(self.hits)}


def _act(faults: list[Fault]) -> None:
    for fault in faults:
        if fault.drop:
            raise DroppedError("a fault of the rehearsal dropped the connection")
        raise AwsError(fault.code, fault.message, fault.status)
