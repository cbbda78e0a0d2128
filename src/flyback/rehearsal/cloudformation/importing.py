"""Resource import: what exists already becomes part of a stack, as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.cloudformation.changes import Preview
from flyback.rehearsal.cloudformation.deploy import Deployment
from flyback.rehearsal.cloudformation.design import schema_of
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.resources.handler import Desired
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack, Target

__all__ = ["Identifiers", "Import", "check_import", "identifiers_of"]

_FINDING_S = 1.0
"""Simulated seconds that it takes to look at a resource; unverified."""

Identifiers = Mapping[str, Mapping[str, str]]
"""Logical id → identifying property → its value."""


def identifiers_of(given: Any) -> Identifiers:
    """What `ResourcesToImport` names."""
    return {
        str(item["LogicalResourceId"]): {
            str(key): str(value) for key, value in item["ResourceIdentifier"].items()
        }
        for item in given or ()
    }


def check_import(engine: Engine, stack: Stack, target: Target, identifiers: Identifiers) -> None:
    """Refuse an import that CloudFormation would (user guide, "Resource import").

    Raises:
        AwsError: a resource of the template is neither in the stack nor named, lacks a
            `DeletionPolicy`, or something besides would change.
    """
    declared = target.template.resources
    if unknown := sorted(set(identifiers) - set(declared)):
        raise invalid(f"Resources {unknown} to import are not in the template")
    if known := sorted(set(identifiers) & set(stack.resources)):
        raise invalid(f"Resources {known} passed in ResourceToImport are already in a stack")
    preview = Preview(engine, stack, target)
    unnamed = [
        item.logical_id
        for item in preview.changes
        if item.action == "Add" and item.logical_id not in identifiers
    ]
    if unnamed:
        raise invalid(f"Resources {unnamed} is missing from ResourceToImport list")
    changed = [item.logical_id for item in preview.changes if item.action != "Add"]
    if changed:
        raise invalid(
            f"You have modified resources {changed} in your template that are not being imported"
        )
    if bare := sorted(name for name in identifiers if not declared[name].deletion_stated):
        raise invalid(
            f"Resources {bare} must have DeletionPolicy attribute specified in the template"
        )
    before = stack.target.template.outputs if stack.target else {}
    if dict(target.template.outputs) != dict(before):
        raise invalid("As part of the import operation, you cannot modify or add [Outputs]")


class Import(Deployment):
    """Work that finds resources instead of making them.

    Args:
        engine: Shared state.
        stack: The stack.
        target: What it should be.
        identifiers: Which existing resource is meant by each logical id.
    """

    def __init__(
        self, engine: Engine, stack: Stack, target: Target, identifiers: Identifiers
    ) -> None:
        super().__init__(engine, stack, target)
        self._identifiers = identifiers

    def _create(self, state: ResourceState, want: Desired, verb: str, reason: str = "") -> float:
        del verb
        name = state.logical_id
        state.desired, state.made = want, None
        self._enter(state, "IMPORT", reason)
        site = self._engine.site(self._stack, name)

        def find() -> None:
            self._engine.permit(self._stack, state.type, "import", want)
            state.made = HANDLERS[state.type].find(site, want)

        failure = self._wrong_identifier(state, want) or self._attempt(state, find)
        failure = failure or self._owned_by_another(state)
        if failure:
            state.made = None
            return self._failing(name, failure)
        self._enter(state, "IMPORT", "Resource import started.")
        return _FINDING_S

    def _wrong_identifier(self, state: ResourceState, want: Desired) -> str:
        """An identifier must be the declared one: both properties identify by their own value."""
        names = schema_of(self._stack.region, state.type).identifier
        expected = {name: want.get(name) for name in names}
        given = dict(self._identifiers[state.logical_id])
        if given == expected:
            return ""
        return f"The identifier {given} does not match the template's {expected}"

    def _owned_by_another(self, state: ResourceState) -> str:
        for other in self._engine.stacks.all(self._stack.account, self._stack.region):
            if other is self._stack or other.gone:
                continue
            for theirs in other.resources.values():
                same = (theirs.type, theirs.physical_id) == (state.type, state.physical_id)
                if same and theirs.made and theirs.status != "DELETE_COMPLETE":
                    return f"{state.physical_id} already exists in stack {other.id}"
        return ""
