"""Grants that other programs on the machine need: no call of flyback's own shows them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from flyback.audit.iam.tables import table

__all__ = ["Implicit", "implicit"]

_NAME = re.compile(r"\\\{\w+\\\}")


@dataclass(frozen=True, kw_only=True)
class Implicit:
    """An action on a resource that another program needs.

    Args:
        statement: Sid.
        action: As granted.
        resource: As granted; `{…}` stands for any name, and for no wildcard.
        who: Who makes the call.
        source: Where AWS says that it is needed.
    """

    statement: str
    action: str
    resource: str
    who: str
    source: str

    def on(self, resource: str) -> bool:
        """Whether a resource is the one that is meant, wildcards as they stand."""
        return re.fullmatch(_NAME.sub(r"[^:*?]+", re.escape(self.resource)), resource) is not None


@functools.cache
def implicit() -> tuple[Implicit, ...]:
    """The list of grants that other programs need."""
    return tuple(Implicit(**item) for item in table("implicit"))
