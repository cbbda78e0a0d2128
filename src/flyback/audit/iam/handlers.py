"""What CloudFormation's own handlers ask of IAM in the name of who deploys.

A resource's schema lists, handler by handler, the permissions that the handler needs. AWS's
handlers read what they made, and change what the emulated ones find unchanged; no call of a
rehearsal would show that. `data/handlers.csv` holds the lists, for the types of the templates.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flyback.audit.iam.needs import Need
from flyback.audit.iam.tables import table

__all__ = ["CALLED", "Handled", "HandlerRow", "Verb", "handler_needs", "handler_rows"]

Verb = Literal["create", "update", "delete", "import"]

CALLED = "called"
"""In place of a resource: the emulated handler makes the call, and is asked for it there."""

_NOT_GRANTED = "-"
# The schema's guide has the read handler invoked during stack updates; whether CloudFormation
# reads after a creation too is not said, and a policy without it may fail there.
_HANDLERS: dict[Verb, frozenset[str]] = {
    "create": frozenset({"create", "read"}),
    "update": frozenset({"update", "read"}),
    "delete": frozenset({"delete"}),
    "import": frozenset({"read"}),
}


@dataclass(frozen=True, kw_only=True)
class HandlerRow:
    """One action of one resource type.

    Args:
        type: For instance `AWS::IAM::Role`.
        action: For instance `iam:GetRole`.
        handlers: Which of create, read, update and delete list it.
        resource: Templates of ARNs with spaces between, `called`, or `-`.
        why: Why it is not granted; empty where it is.
    """

    type: str
    action: str
    handlers: frozenset[str]
    resource: str
    why: str = ""

    @property
    def granted(self) -> bool:
        """Whether the deployer's policy holds it for this type's sake."""
        return self.resource != _NOT_GRANTED


@dataclass(frozen=True, kw_only=True)
class Handled:
    """A resource that a handler works on.

    Args:
        type: Its type.
        stack: Name of its stack.
        properties: As they shall be, or were.
        partition: For instance `aws`.
        region: The stack's.
        account: Twelve digits.
    """

    type: str
    stack: str
    properties: Mapping[str, Any]
    partition: str
    region: str
    account: str


@functools.cache
def handler_rows() -> Mapping[str, tuple[HandlerRow, ...]]:
    """The table, by type."""
    found: dict[str, list[HandlerRow]] = {}
    for item in table("handlers"):
        row = HandlerRow(
            type=item["type"],
            action=item["action"],
            handlers=frozenset(item["handlers"].split()),
            resource=item["resource"],
            why=item["why"],
        )
        found.setdefault(row.type, []).append(row)
    return {kind: tuple(rows) for kind, rows in found.items()}


def handler_needs(handled: Handled, verb: Verb) -> Iterator[Need]:
    """Every question about one step of a stack that no call of the emulated handler asks.

    Types that are not in the table ask none.
    """
    for row in handler_rows().get(handled.type, ()):
        if row.granted and row.resource != CALLED and row.handlers & _HANDLERS[verb]:
            for resource in row.resource.split():
                yield Need(action=row.action, resource=resource.format_map(_fields(handled)))


def _fields(handled: Handled) -> Mapping[str, str]:
    texts = {key: str(value) for key, value in handled.properties.items()}
    return _Fields(
        texts,
        p=handled.partition,
        r=handled.region,
        a=handled.account,
        stack=handled.stack,
    )


class _Fields(dict[str, str]):
    """`*` for a name that AWS makes up."""

    def __missing__(self, key: str) -> str:
        return "*"
