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
    """

    leftovers: tuple[Leftover, ...]
    refused: tuple[str, ...]
    failed: tuple[str, ...] = ()


def reap(options: Options | None = None, *, remove: bool = False) -> Reaped:
    """List what belongs to flyback and is held by nothing; remove it where asked to.

    Raises:
        RefusedError: the account can't be asked.
    """
    chosen = options or Options()
    cloud = chosen.open()
    found = leftovers.orphans(cloud.session, chosen.name, cloud.clock)
    failed: tuple[str, ...] = ()
    if remove:
        failed = leftovers.reap(cloud.session, found, cloud.clock, chosen.report)
    return Reaped(leftovers=found.leftovers(), refused=found.refused, failed=failed)
