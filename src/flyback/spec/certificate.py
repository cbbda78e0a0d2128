"""Certificate: proof, service by service, that nothing lingers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Certificate", "Check", "Leftover"]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A thing that is still there, and the command that removes it."""

    service: str
    kind: str
    identifier: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question put to one source.

    Args:
        source: `ledger`, `stack`, `tags` or `sweep`.
        service: AWS service.
        question: The call and its filter.
        seen: How many things the answer held, gone ones included.
        left: Identifiers that are still there.
    """

    source: Literal["ledger", "stack", "tags", "sweep"]
    service: str
    question: str
    seen: int
    left: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """All sources asked; clean only when all agree that nothing is left.

    Args:
        scope: The run id, or `account` after `flyback down`.
        exceptions: What stays by design, each with its reason.
        clean: Nothing is left, and every question was answered.
        unasked: What could not be asked for, each with the reason: there may be some of it. The
            certificate is then not clean, even where nothing was found.
    """

    scope: str
    account: str
    region: str
    at: float
    checks: tuple[Check, ...]
    leftovers: tuple[Leftover, ...]
    exceptions: tuple[str, ...]
    clean: bool
    unasked: tuple[str, ...] = ()
