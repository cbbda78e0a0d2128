"""What differs between what a resource is and should be, and whether it can change in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import Desired
from flyback.rehearsal.cloudformation.schema import ResourceSchema
from flyback.rehearsal.cloudformation.stack import ResourceState
from flyback.rehearsal.cloudformation.template import ResourceDeclaration

__all__ = ["Difference", "changed_attributes", "difference", "recreation"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs.

    Args:
        properties: Names of properties whose value is another; `Tags` is not among them.
        replacing: Those of them that can't change in place.
        tags: Whether the tags differ.
        attributes: Template attributes that differ (`DeletionPolicy`, `Metadata`, …).
    """

    properties: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    tags: bool = False
    attributes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.properties or self.tags or self.attributes)


def difference(
    schema: ResourceSchema, state: ResourceState, declaration: ResourceDeclaration, new: Desired
) -> Difference:
    """Compare a resource with what it should be."""
    old = state.desired
    names = sorted((set(old.properties) | set(new.properties)) - {"Tags"})
    changed = tuple(name for name in names if old.get(name) != new.get(name))
    replacing = tuple(
        name
        for name in changed
        if recreation(schema, name, old.get(name), new.get(name)) != "Never"
    )
    return Difference(
        properties=changed,
        replacing=replacing,
        tags=old.tags != new.tags,
        attributes=changed_attributes(state, declaration),
    )


def changed_attributes(state: ResourceState, declaration: ResourceDeclaration) -> tuple[str, ...]:
    """Attributes of a resource that its declaration changes."""
    found = {
        "DeletionPolicy": state.deletion_policy != declaration.deletion_policy,
        "Metadata": state.metadata != declaration.metadata,
        "UpdateReplacePolicy": state.update_replace_policy != declaration.update_replace_policy,
    }
    return tuple(name for name, changed in found.items() if changed)


def recreation(schema: ResourceSchema, name: str, old: Any, new: Any) -> str:
    """Whether a changed property makes a new resource: `Never`, `Conditionally` or `Always`."""
    if _touches(schema.create_only, name, old, new):
        return "Always"
    return "Conditionally" if _touches(schema.maybe_create_only, name, old, new) else "Never"


def _touches(paths: Iterable[tuple[str, ...]], name: str, old: Any, new: Any) -> bool:
    return any(path[0] == name and _at(old, path[1:]) != _at(new, path[1:]) for path in paths)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
