"""For whom a service acts: CloudFormation has its caller's permissions, and no other's.

AWS hands the caller's identity on (IAM user guide, "Forward access sessions"). Here the thread that
works on a stack holds the request that asked for it, with who signed it, from when it was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from flyback.rehearsal.identities import Signer

__all__ = ["Accepted", "acted_for", "acting_for"]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A request that was let through.

    Args:
        number: Of the request in the journal.
        signer: Whose it is.
    """

    number: int
    signer: Signer


_REQUEST: ContextVar[Accepted | None] = ContextVar("flyback_request", default=None)


def acted_for() -> Accepted | None:
    """The request that this thread works for; None where it works for none."""
    return _REQUEST.get()


@contextmanager
def acting_for(request: Accepted | None) -> Iterator[None]:
    """Work for a request while this lasts.

    Args:
        request: Which.
    """
    token = _REQUEST.set(request)
    try:
        yield
    finally:
        _REQUEST.reset(token)
