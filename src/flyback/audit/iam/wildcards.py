"""Wildcards of an identity's policy that say more than is meant."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.audit.iam.handlers import CALLED, handler_rows
from flyback.audit.iam.implicit import implicit
from flyback.audit.iam.needs import rows
from flyback.audit.iam.patterns import like
from flyback.audit.iam.tables import table

__all__ = ["Nameless", "nameless", "names_nothing", "too_much"]

_FIELD = re.compile(r"\\\{[pra]\\\}")
_EQUAL = "StringEquals"
_FIELDS = 6  # of an ARN
_UNTYPED = ("s3", "sns", "sqs")  # the last field of their ARNs begins with the name


@dataclass(frozen=True, kw_only=True)
class Nameless:
    """A resource without a name, and why it has none.

    Args:
        who: Whose policy: `user/…` or `role/…`, with wildcards.
        action: As granted, with spaces between, or `service:*`.
        resource: As granted; `{p}`, `{r}` and `{a}` stand for partition, region and account.
        condition: Key that the statement must compare for equality; empty for none.
        why: In a few words.
    """

    who: str
    action: str
    resource: str
    condition: str
    why: str

    def covers(self, holder: str, action: str, resource: str, statement: Mapping[str, Any]) -> bool:
        """Whether this action of theirs on this resource is meant, wildcards as they stand."""
        if not like(self.who, holder.rpartition(":")[2]):
            return False
        if not any(like(meant, action) for meant in self.action.split()):
            return False
        if self.condition and self.condition not in statement.get("Condition", {}).get(_EQUAL, {}):
            return False
        pattern = _FIELD.sub(r"[^:*?]+", re.escape(self.resource))
        return re.fullmatch(pattern, resource) is not None


@functools.cache
def nameless() -> tuple[Nameless, ...]:
    """The list of resources that can't be named."""
    return tuple(Nameless(**item) for item in table("wildcards"))


def too_much(statement: Mapping[str, Any], holder: str, name: str) -> Iterator[str]:
    """Whatever a statement grants beyond what is named.

    Args:
        statement: An Allow of an identity's policy, with lists wherever there may be one.
        holder: ARN of the identity.
        name: How findings name it.
    """
    for action in statement.get("Action", ()):
        if "*" in action:
            yield f"{name}: {action} is more than one action"
            continue

        def listed(resource: str, action: str = action) -> bool:
            return any(item.covers(holder, action, resource, statement) for item in nameless())

        for resource in statement.get("Resource", ()):
            if resource == "*" and not _takes_none(action, statement):
                yield f"{name}: {action} takes a resource, and has *"
            if resource == "*" or _is_void(action, resource):
                continue
            if names_nothing(resource) and not listed(resource):
                yield f"{name}: {action} has {resource}, which names nothing"
    if "NotAction" in statement or "NotResource" in statement:
        yield f"{name}: grants everything but what it names"


@functools.cache
def names_nothing(resource: str) -> bool:
    """Whether wildcards alone stand where an ARN has its resource's name, or before that."""
    fields = resource.split(":", _FIELDS - 1)
    if len(fields) < _FIELDS:
        return True
    parts = [part for part in re.split("[:/]", fields[-1]) if part]
    place = 0 if fields[2] in _UNTYPED or len(parts) == 1 else 1
    wild_service = any(set(field) <= {"*", "?"} for field in fields[1:3])
    return wild_service or any(set(part) <= {"*", "?"} for part in parts[: place + 1])


def _takes_none(action: str, statement: Mapping[str, Any]) -> bool:
    """Whether `*` is all that an action takes: by the table, else by the implicit list."""
    found = _resources().get(action, set())
    if found:
        return found == {"*"}
    meant = [entry for entry in implicit() if entry.statement == statement.get("Sid")]
    return any(item.action == action and item.on("*") for item in meant) or _described(action)


@functools.cache
def _is_void(action: str, resource: str) -> bool:
    """Whether an action of EC2's takes no such resource: a statement pairs all with all."""
    asked = _resources().get(action, set())
    kinds = {text.rpartition(":")[2].partition("/")[0] for text in asked}
    kind = resource.rpartition(":")[2].partition("/")[0]
    named = action.startswith("ec2:") and all(text.startswith("arn:") for text in asked)
    return named and bool(kinds) and "*" not in kind and kind not in kinds


def _described(action: str) -> bool:
    """EC2's Describe… take no resource (service authorization reference, Amazon EC2)."""
    return action.startswith("ec2:Describe")


@functools.cache
def _resources() -> Mapping[str, set[str]]:
    """Action → the resources that the tables ask about."""
    asked: dict[str, set[str]] = {}
    for kinds in handler_rows().values():
        for listed in kinds:
            if listed.granted and listed.resource != CALLED:
                asked.setdefault(listed.action, set()).update(listed.resource.split())
    for items in rows().values():
        for row in items:
            asked.setdefault(row.action, set()).add(row.resource)
    return asked
