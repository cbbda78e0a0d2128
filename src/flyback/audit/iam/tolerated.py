"""Calls whose refusal flyback tolerates: it goes on, and something else is lost."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from flyback.audit.iam.asked import Asked
from flyback.audit.iam.tables import table

__all__ = ["Tolerated", "tolerated", "tolerates", "who_asked"]

_ROLE = re.compile(r":role/.*-core-(\w+)-[A-Z0-9]+$")  # as CloudFormation names them


@dataclass(frozen=True, kw_only=True)
class Tolerated:
    """An action that its caller can go without.

    Args:
        who: `you`, or the role's name in the template.
        action: As granted.
        why: What it is granted for all the same.
    """

    who: str
    action: str
    why: str


@functools.cache
def tolerated() -> Mapping[tuple[str, str], Tolerated]:
    """The list, by who and action."""
    found = [Tolerated(**item) for item in table("tolerated")]
    return {(item.who, item.action): item for item in found}


def tolerates(asked: Asked) -> Tolerated | None:
    """The entry that a question falls under; what CloudFormation asks falls under none."""
    return None if asked.via else tolerated().get((who_asked(asked), asked.action))


def who_asked(asked: Asked) -> str:
    """`you` for a user, the name in the core template for a role; empty for anybody else."""
    role = _ROLE.search(asked.holder)
    if role is not None:
        return role[1]
    return "you" if ":user/" in asked.holder else ""
