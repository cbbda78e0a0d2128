"""Taking resources away: the wave of a delete, a rollback or a clean-up."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.failure import attempt
from flyback.rehearsal.cloudformation.graph import inverted
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack
from flyback.rehearsal.cloudformation.wave import Outcome, run
from flyback.spec.clock import Clock

__all__ = ["Removal", "remove"]


class Removal:
    """Work that deletes resources.

    Args:
        engine: Shared state.
        stack: Whose history tells of it.
        states: What to delete, by logical id.
        keep: Logical ids of what stays in the account.
    """

    def __init__(
        self,
        engine: Engine,
        stack: Stack,
        states: Mapping[str, ResourceState],
        keep: Collection[str],
    ) -> None:
        self._engine = engine
        self._stack = stack
        self._states = states
        self._keep = keep
        self._reasons: dict[str, str] = {}

    def start(self, name: str) -> float | None:
        state, now = self._states[name], self._engine.clock.now()
        if name in self._keep and state.made is not None:
            self._stack.resource_to(state, "DELETE_SKIPPED", now)
            return None
        made = state.made
        if made is None:
            self._stack.resource_to(state, "DELETE_COMPLETE", now)
            return None
        self._stack.resource_to(state, "DELETE_IN_PROGRESS", now)
        handler = HANDLERS[state.type]
        site = self._engine.site(self._stack, name)
        unique = f"{self._stack.id}/{len(self._stack.events)}"

        def take_away() -> None:
            self._engine.permit(self._stack, state.type, "delete", state.desired)
            handler.delete(site, made, state.desired)

        code, reason = attempt(state.type, unique, take_away)
        if reason and code not in handler.gone:
            self._reasons[name] = reason
        return handler.pace.delete

    def finish(self, name: str) -> bool:
        state, now = self._states[name], self._engine.clock.now()
        reason = self._reasons.pop(name, "")
        self._stack.resource_to(
            state, "DELETE_FAILED" if reason else "DELETE_COMPLETE", now, reason
        )
        return not reason

    def cancel(self, name: str) -> None:
        """Deletions run to their end."""

    def stopped(self) -> bool:
        return False


def remove(
    engine: Engine,
    stack: Stack,
    states: Mapping[str, ResourceState],
    clock: Clock,
    *,
    keep: Collection[str] = (),
) -> Outcome:
    """Delete resources, each after those that need it; what fails keeps what it needs."""
    edges = inverted({name: state.needs for name, state in states.items()})
    return run(edges, Removal(engine, stack, states, keep), clock, halt=False)
