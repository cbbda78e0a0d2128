"""Fires schedules on simulated time, with AWS's precision and its retries."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.roles import Session, Sessions
from flyback.rehearsal.schedules.expressions import parse
from flyback.rehearsal.schedules.state import Schedule, Schedules, moment
from flyback.rehearsal.schedules.targets import deliver
from flyback.spec.clock import Clock

__all__ = ["Firing", "Timetable"]

_PRECISION_S = 59.0  # "between 1:00:00 and 1:00:59" (user guide, "Schedule types")
_MINUTE_S = 60.0  # a one-time schedule may tell seconds; nobody says that they count
_FIRST_RETRY_S = 1.0  # backoff doubles; its steps are not documented
_LAST_RETRY_S = 300.0
_SERVER_ERROR = 500
# Asked again; any other refusal would be the same again.
_AGAIN = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"})


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One attempt to call a schedule's target.

    Args:
        schedule: ARN of the schedule.
        due: When it was scheduled, in simulated seconds since the epoch.
        at: When it was attempted.
        attempt: Counts from 1.
        error: Empty, or the error code.
    """

    schedule: str
    due: float
    at: float
    attempt: int
    error: str


class Timetable:
    """Waits for each schedule's time and calls its target.

    Args:
        schedules: All schedules.
        sessions: Takes their roles.
        clock: The rehearsal's.
        seed: Decides where in its minute a schedule fires.

    Attributes:
        lost: Whether a schedule never fires: a fault of the rehearsal.
    """

    def __init__(
        self, schedules: Schedules, sessions: Sessions, clock: VirtualClock, seed: int
    ) -> None:
        self._schedules = schedules
        self._sessions = sessions
        self._clock = clock
        self._seed = seed
        self._lock = threading.Lock()
        self._fired: list[Firing] = []
        self.lost: Callable[[Schedule], bool] = lambda _: False

    @property
    def fired(self) -> tuple[Firing, ...]:
        """Every attempt so far, in order."""
        with self._lock:
            return tuple(self._fired)

    def enter(self, schedule: Schedule, number: int = 0) -> None:
        """Wait for the time of a schedule that has just been made, changed or fired."""
        if not schedule.enabled:
            return
        given = schedule.given
        expression = parse(
            given["ScheduleExpression"], given.get("ScheduleExpressionTimezone") or "UTC"
        )
        start = given.get("StartDate")
        since = schedule.modified if schedule.once or start is None else start.timestamp()
        due = expression.due(number, max(since, schedule.modified))
        end = given.get("EndDate")
        if due is None or (end is not None and not schedule.once and due > end.timestamp()):
            return
        chance = random.Random(f"{self._seed}/{schedule.arn}/{number}")  # noqa: S311  # repeatable
        earliest = due - due % _MINUTE_S if schedule.once else due
        at = chance.uniform(max(earliest, self._clock.now()), due + _PRECISION_S)
        self._clock.call_at(at, lambda: self._due(schedule, number, due))

    def _due(self, schedule: Schedule, number: int, due: float) -> None:
        if not self._schedules.is_current(schedule):
            return
        if not schedule.once:
            self.enter(schedule, number + 1)
        if not self.lost(schedule):
            self._attempt(schedule, due, 1)

    def _attempt(self, schedule: Schedule, due: float, attempt: int) -> None:
        """Call the target in a thread of its own: an event of the clock must not block."""

        def body(clock: Clock) -> None:
            error = self._call(schedule, due, attempt, clock.now())
            if error and self._may_retry(schedule, due, attempt, error):
                wait = min(_FIRST_RETRY_S * 2 ** (attempt - 1), _LAST_RETRY_S)
                self._clock.call_after(wait, lambda: self._attempt(schedule, due, attempt + 1))
            elif schedule.completes and self._schedules.is_current(schedule):
                self._schedules.remove(schedule)

        name = f"scheduler:{schedule.group}/{schedule.name}:{due:.0f}:{attempt}"
        self._clock.spawn(name, body)

    def _call(self, schedule: Schedule, due: float, attempt: int, now: float) -> str:
        """The error code, or empty."""
        error = ""
        try:
            session = self._session(schedule)
            deliver(
                schedule.target,
                lambda service: self._client(service, schedule, session),
                {
                    "schedule-arn": schedule.arn,
                    "scheduled-time": moment(due).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "execution-id": f"{schedule.revision}-{due:.0f}",
                    "attempt-number": str(attempt),
                },
            )
        except ClientError as refused:
            code = str(refused.response["Error"]["Code"])
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
            error = code if status < _SERVER_ERROR or code in _AGAIN else f"5xx {code}"
        except BotoCoreError as broken:
            error = f"5xx {type(broken).__name__}"
        firing = Firing(schedule=schedule.arn, due=due, at=now, attempt=attempt, error=error)
        with self._lock:
            self._fired.append(firing)
        return error

    def _session(self, schedule: Schedule) -> Session:
        group = self._schedules.group(schedule.region, schedule.group)
        return self._sessions.take(
            schedule.target["RoleArn"],
            schedule.name,
            region=schedule.region,
            service="scheduler",
            source_arn=group.arn,
        )

    def _client(self, service: str, schedule: Schedule, session: Session) -> Any:
        return self._sessions.client(service, schedule.region, session)

    def _may_retry(self, schedule: Schedule, due: float, attempt: int, error: str) -> bool:
        policy = schedule.target["RetryPolicy"]
        young = self._clock.now() - due < policy["MaximumEventAgeInSeconds"]
        again = error in _AGAIN or error.startswith("5xx ")
        there = self._schedules.is_current(schedule)
        return there and again and young and attempt <= policy["MaximumRetryAttempts"]
