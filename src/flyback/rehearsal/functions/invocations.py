"""Invocations: synchronous ones, and asynchronous ones with Lambda's two retries.

Delays and retries as the Lambda developer guide has them ("Error handling for asynchronous
invocation"): after a function error a minute, then two, then the event is dropped.
"""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.clock import Participant, VirtualClock
from flyback.rehearsal.functions.environment import Environment, Outcome
from flyback.rehearsal.functions.logs import write_logs
from flyback.rehearsal.functions.state import Function, Registry
from flyback.rehearsal.functions.workshop import Workshop
from flyback.rehearsal.roles import Sessions
from flyback.spec.clock import Clock

__all__ = ["Invocation", "Invocations"]

_QUEUED_S = 0.5  # from acceptance to the first attempt; chosen, not measured on AWS
_RETRIES_S = (60.0, 120.0)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One attempt to run a function.

    Args:
        function: Its ARN.
        request_id: Equal for all attempts of an asynchronous invocation.
        attempt: Counts from 1.
        at: Simulated seconds since the epoch.
        event: JSON.
        error: Empty, or the type of the error.
        result: JSON: what was returned, or the error.
        output: What was printed.
    """

    function: str
    request_id: str
    attempt: int
    at: float
    event: str
    error: str
    result: str
    output: str


class Invocations:
    """Runs functions.

    Args:
        registry: All functions.
        workshop: Their execution environments.
        sessions: Takes their roles, for their logs.
        clock: The rehearsal's.

    Attributes:
        broken: Whether a function (by name) fails before its code runs: a fault of the rehearsal.
    """

    def __init__(
        self, registry: Registry, workshop: Workshop, sessions: Sessions, clock: VirtualClock
    ) -> None:
        self._registry = registry
        self._workshop = workshop
        self._sessions = sessions
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._done: list[Invocation] = []
        self.broken: Callable[[str], bool] = lambda _: False

    @property
    def done(self) -> tuple[Invocation, ...]:
        """Every attempt so far, in the order of their ends."""
        with self._lock:
            return tuple(self._done)

    def run(self, function: Function, event: bytes) -> Outcome:
        """Invoke and wait for the answer. Time stands still, unless the handler waits for it."""
        return self._attempt(function, self._request_id(), event, 1)

    def queue(self, function: Function, event: bytes) -> str:
        """Invoke asynchronously; the request id."""
        request_id = self._request_id()
        self._later(_QUEUED_S, function, request_id, event, 1)
        return request_id

    def _later(
        self, seconds: float, function: Function, request_id: str, event: bytes, attempt: int
    ) -> None:
        name = f"lambda-service:{request_id}:{attempt}"

        def body(_: Clock) -> None:
            current = self._registry.find(function.region, function.name)
            if current is None:
                return
            holder = self._clock.participant(name)
            outcome = self._attempt(current, request_id, event, attempt, holder)
            if outcome.error and attempt <= len(_RETRIES_S):
                self._later(_RETRIES_S[attempt - 1], current, request_id, event, attempt + 1)

        self._clock.call_after(seconds, lambda: self._clock.spawn(name, body))

    def _attempt(
        self,
        function: Function,
        request_id: str,
        event: bytes,
        attempt: int,
        holder: Participant | None = None,
    ) -> Outcome:
        environment: Environment | None = None
        at = self._clock.now()
        if self.broken(function.name):
            outcome = _failed("Runtime.ExitError", "a fault of the rehearsal broke this function")
        else:
            try:
                environment = self._workshop.take(function)
            except (ClientError, BotoCoreError) as error:
                outcome = _failed("AccessDeniedException", str(error))
            else:
                outcome = environment.invoke(request_id, event, holder)
        if environment is not None:
            logs = self._sessions.client("logs", function.region, environment.session)
            write_logs(logs, function, environment.log_stream, at, request_id, outcome)
            self._workshop.give_back(function, environment)
        with self._lock:
            self._done.append(
                Invocation(
                    function=function.arn,
                    request_id=request_id,
                    attempt=attempt,
                    at=at,
                    event=event.decode(),
                    error=outcome.error,
                    result=outcome.payload.decode(),
                    output=outcome.output,
                )
            )
        return outcome

    def _request_id(self) -> str:
        return str(uuid.UUID(int=(0x1A << 120) + next(self._numbers), version=4))


def _failed(kind: str, sentence: str) -> Outcome:
    payload = json.dumps({"errorType": kind, "errorMessage": sentence})
    return Outcome(payload=payload.encode(), error=kind)
