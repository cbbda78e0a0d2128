"""What a stack's template refers to, as things stand: its own resources, the account, exports."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.account import Account
from flyback.rehearsal.cloudformation.design import attribute_of
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack

__all__ = ["LiveSurroundings"]


class LiveSurroundings(Account):
    """Resolves references of a stack against what exists; remembers what it imported.

    Args:
        engine: For the register and clients.
        stack: Whose references.
    """

    def __init__(self, engine: Engine, stack: Stack) -> None:
        super().__init__(engine, stack.region)
        self._exports = engine.stacks.exports
        self._stack = stack
        self.used_imports: set[str] = set()

    def ref(self, logical_id: str) -> str:
        """Physical id of a resource."""
        return self._state(logical_id).physical_id

    def attribute(self, logical_id: str, name: str) -> Any:
        """Attribute of a resource."""
        return attribute_of(self._stack, self._state(logical_id), name)

    def imported(self, name: str) -> str:
        """Value that another stack exports.

        Raises:
            AwsError: none does.
        """
        found = self._exports(self._stack.account, self._stack.region).get(name)
        if found is None:
            raise invalid(f"No export named {name} found.")
        self.used_imports.add(name)
        return found[1]

    def _state(self, logical_id: str) -> ResourceState:
        state = self._stack.resources.get(logical_id)
        if state is None or state.made is None:
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{logical_id}] in the "
                "Resources block of the template"
            )
        return state
