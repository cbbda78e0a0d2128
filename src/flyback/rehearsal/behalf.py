"""For which request a service acts: CloudFormation has its caller's permissions, and no other's.

AWS hands the caller's identity on (IAM user guide, "Forward access sessions"). Here the thread that
works on a stack holds the number of the request that asked for it, from when it was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["acted_for", "acting_for"]

_REQUEST: ContextVar[int] = ContextVar("flyback_request", default=0)


def acted_for() -> int:
    """Number of the request that this thread works for; 0 where it works for none."""
    return _REQUEST.get()


@contextmanager
def acting_for(number: int) -> Iterator[None]:
    """Work for a request while this lasts.

    Args:
        number: The request's.
    """
    token = _REQUEST.set(number)
    try:
        yield
    finally:
        _REQUEST.reset(token)
