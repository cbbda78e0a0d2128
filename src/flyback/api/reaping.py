"""`reap`: what is left over in an account, and its removal."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.api.verbs import Options
from flyback.launch import leftovers
from flyback.spec.certificate import Leftover

__all__ = ["Reaped", "reap"]


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """What was found, and what became of it.

    Args:
        leftovers: Each with the command that removes it.
        refused: Kinds that could not be asked for.
        failed: What could not be removed; empty where nothing was to be.
        unsettled: Stacks that are at work or in an unclear state: all but late machines stays.
    """

    leftovers: tuple[Leftover, ...]
    refused: tuple[str, ...]
    failed: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()


def reap(options: Options | None = None, *, remove: bool = False, data: bool = False) -> Reaped:
    """List what belongs to flyback and is held by nothing; remove it where asked to.

    Args:
        options: Account and deployment.
        remove: Remove what is found, but buckets that hold something.
        data: Those too.

    Raises:
        RefusedError: the account can't be asked.
        ConflictError: something is to be removed while a stack is not settled.
    """
    chosen = options or Options()
    cloud = chosen.open()
    session, name, clock = cloud.session, chosen.name, cloud.clock
    if remove:
        found, failed = leftovers.clear(session, name, clock, chosen.report, data=data)
    else:
        found, failed = leftovers.orphans(session, name, clock), ()
    return Reaped(
        leftovers=found.leftovers(),
        refused=found.refused,
        failed=failed,
        unsettled=found.unsettled,
    )
