"""Again, a little later: which failures pass by themselves, and how long to wait for that."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flyback.errors import NotFoundError, ServiceError
from flyback.spec.clock import Clock, SystemClock

__all__ = ["Retry", "passes"]

T = TypeVar("T")

# Codes of S3's own that are worth another try: overload, server trouble, a body that arrived
# damaged or not at all (Amazon S3 API reference, "List of error codes"). The empty code is a
# connection that failed.
_PASSING = {
    "",
    "500",
    "502",
    "503",
    "504",
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}


def passes(error: Exception) -> bool:
    """Whether a failure may pass by itself."""
    if isinstance(error, NotFoundError) or not isinstance(error, ServiceError):
        return False
    return error.code in _PASSING


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with full jitter, within a number of tries and a deadline.

    Args:
        tries: At most so many.
        deadline_s: No new try later than so many seconds after the first.
        first_s: Upper bound of the first pause; it doubles.
        most_s: Upper bound of any pause.
        clock: Waits.
        jitter: Uniform in [0, 1).
    """

    tries: int = 8
    deadline_s: float = 300.0
    first_s: float = 0.1
    most_s: float = 20.0
    clock: Clock = field(default_factory=SystemClock)
    jitter: Callable[[], float] = random.random

    def __call__(self, action: Callable[[], T]) -> T:
        """The action's result.

        Raises:
            FlybackError: what the last try raised, or the first that does not pass by itself.
        """
        began, bound, left = self.clock.now(), self.first_s, self.tries
        while True:
            left -= 1
            try:
                return action()
            except ServiceError as error:
                pause = bound * self.jitter()
                late = self.clock.now() + pause - began > self.deadline_s
                if not passes(error) or left <= 0 or late:
                    raise
            self.clock.sleep(pause)
            bound = min(bound * 2, self.most_s)
