"""What an update would change: for change sets, and to know that there is nothing to do.

Resources are looked at in dependency order. A value that depends on a resource which is made or
replaced can't be known yet; such a property counts as changed, `Dynamic`, as in AWS's change sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.cloudformation.design import (
    attribute_of,
    outputs,
    resolver_for,
    schema_of,
    tags_for,
)
from flyback.rehearsal.cloudformation.difference import changed_attributes, recreation
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.graph import needs, ordered
from flyback.rehearsal.cloudformation.intrinsics import NO_VALUE
from flyback.rehearsal.cloudformation.references import references
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.schema import ResourceSchema
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack, Target
from flyback.rehearsal.cloudformation.surroundings import LiveSurroundings
from flyback.rehearsal.cloudformation.template import ResourceDeclaration

__all__ = ["Change", "Detail", "Preview"]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One reason why a resource changes; the fields are the API's."""

    attribute: str
    name: str = ""
    recreation: str = "Never"
    evaluation: str = "Static"
    source: str = "DirectModification"
    causing: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource."""

    logical_id: str
    type: str
    action: str
    physical_id: str = ""
    policy: str = ""
    details: tuple[Detail, ...] = ()

    @property
    def replacement(self) -> str:
        """`True`, `False` or `Conditional`."""
        if any(
            item.recreation == "Always" and item.evaluation == "Static" for item in self.details
        ):
            return "True"
        maybe = any(item.recreation != "Never" for item in self.details)
        return "Conditional" if maybe else "False"


class _UnknownYetError(Exception):
    """A value that only the update itself will give."""

    def __init__(self, logical_id: str, attribute: str = "") -> None:
        super().__init__(logical_id, attribute)
        self.source = "ResourceAttribute" if attribute else "ResourceReference"
        self.causing = f"{logical_id}.{attribute}" if attribute else logical_id


class _Ahead(LiveSurroundings):
    """References as far as they can be known before the update."""

    def __init__(self, engine: Engine, stack: Stack) -> None:
        super().__init__(engine, stack)
        self.renewed: set[str] = set()
        self.changed: set[str] = set()
        self._now = stack

    def ref(self, logical_id: str) -> str:
        if logical_id in self.renewed:
            raise _UnknownYetError(logical_id)
        return super().ref(logical_id)

    def attribute(self, logical_id: str, name: str) -> Any:
        if logical_id in self.renewed | self.changed:
            raise _UnknownYetError(logical_id, name)
        return attribute_of(self._now, self._state(logical_id), name)


class Preview:
    """An update, thought through.

    Args:
        engine: Shared state.
        stack: As it is.
        target: What it should be.

    Raises:
        AwsError: the update is refused.
    """

    def __init__(self, engine: Engine, stack: Stack, target: Target) -> None:
        self._stack = stack
        self._target = target
        self._ahead = _Ahead(engine, stack)
        self._resolver = resolver_for(stack, target, self._ahead)
        self._live = frozenset(self._resolver.live())
        self._refuse_new_types()
        self.changes = (*self._coming(), *self._going())

    def nothing(self) -> bool:
        """Whether the update would change nothing."""
        old = self._stack.target
        if self.changes or old is None or dict(old.tags) != dict(self._target.tags):
            return False
        try:
            return outputs(self._resolver) == self._stack.outputs
        except _UnknownYetError:
            return False

    def _refuse_new_types(self) -> None:
        changed = [
            name
            for name in sorted(self._live)
            if name in self._stack.resources
            and self._stack.resources[name].type != self._target.template.resources[name].type
        ]
        if changed:
            raise invalid(
                "Update of resource type is not permitted. The new template modifies resource "
                f"type of the following resources: [{', '.join(changed)}]"
            )

    def _coming(self) -> Iterable[Change]:
        declared = self._target.template.resources
        for name in ordered({item: needs(declared[item], self._live) for item in self._live}):
            state = self._stack.resources.get(name)
            if state is None or state.made is None:
                self._ahead.renewed.add(name)
                yield Change(logical_id=name, type=declared[name].type, action="Add")
                continue
            details = self._details(state, declared[name])
            if not details:
                continue
            change = Change(
                logical_id=name,
                type=state.type,
                action="Modify",
                physical_id=state.physical_id,
                details=tuple(details),
            )
            kept = change.replacement == "False"
            (self._ahead.changed if kept else self._ahead.renewed).add(name)
            yield change

    def _going(self) -> Iterable[Change]:
        for name, state in sorted(self._stack.resources.items()):
            if name not in self._live:
                kept = state.deletion_policy != "Delete"
                yield Change(
                    logical_id=name,
                    type=state.type,
                    action="Remove",
                    physical_id=state.physical_id,
                    policy="Retain" if kept else "Delete",
                )

    def _details(self, state: ResourceState, declaration: ResourceDeclaration) -> list[Detail]:
        schema = schema_of(self._stack.region, state.type)
        found: list[Detail] = []
        known: dict[str, Any] = {}
        for name, raw in sorted(declaration.properties.items()):
            try:
                value = self._resolver.resolve(raw)
            except _UnknownYetError as unknown:
                found.append(self._dynamic(schema, name, unknown))
                continue
            if value is not NO_VALUE:
                known |= schema.coerced({name: value})
        unknown_names = {item.name for item in found}
        old = state.desired.properties
        for name in sorted((set(old) | set(known)) - unknown_names - {"Tags"}):
            if old.get(name) != known.get(name):
                again = recreation(schema, name, old.get(name), known.get(name))
                found += self._static(name, declaration, again)
        if "Tags" not in unknown_names and self._tags_differ(state, known):
            found.append(Detail(attribute="Tags"))
        found += [Detail(attribute=name) for name in changed_attributes(state, declaration)]
        return found

    def _tags_differ(self, state: ResourceState, known: dict[str, Any]) -> bool:
        tags = tags_for(self._stack, self._target, state.type, state.logical_id, known)
        return tags != dict(state.desired.tags)

    @staticmethod
    def _dynamic(schema: ResourceSchema, name: str, unknown: _UnknownYetError) -> Detail:
        return Detail(
            attribute="Tags" if name == "Tags" else "Properties",
            name=name,
            # whichever value comes, it is not this one
            recreation=recreation(schema, name, None, unknown),
            evaluation="Dynamic",
            source=unknown.source,
            causing=unknown.causing,
        )

    def _static(self, name: str, declaration: ResourceDeclaration, again: str) -> list[Detail]:
        old = self._stack.target
        before = old.template.resources.get(declaration.logical_id) if old else None
        raw = declaration.properties.get(name)
        if old is None or before is None or before.properties.get(name) != raw:
            return [Detail(attribute="Properties", name=name, recreation=again)]
        named = sorted({item.name for item in references(raw) if not item.attribute})
        causes = [
            key for key in named if old.parameters.get(key) != self._target.parameters.get(key)
        ]
        return [
            Detail(
                attribute="Properties",
                name=name,
                recreation=again,
                source="ParameterReference" if cause else "Automatic",
                causing=cause,
            )
            for cause in causes or [""]
        ]
