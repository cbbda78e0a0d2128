"""Back to what was: resources that a failed update touched get their old values again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flyback.rehearsal.cloudformation.deploy import Deployment
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.failure import attempt
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack

__all__ = ["Restoration"]


class Restoration:
    """Work that undoes an update.

    Args:
        engine: Shared state.
        stack: The stack.
        deployment: What was done.

    Attributes:
        deployment: What was done.
        surplus: What the update made and nothing needs any more, by logical id.
    """

    def __init__(self, engine: Engine, stack: Stack, deployment: Deployment) -> None:
        self._engine = engine
        self._stack = stack
        self.deployment = deployment
        self._reasons: dict[str, str] = {}
        self.surplus: dict[str, ResourceState] = {
            name: replace(stack.resources[name])
            for name, before in deployment.before.items()
            if before is None
        }

    def edges(self) -> dict[str, frozenset[str]]:
        """What is to be restored, with what it needed."""
        return {
            name: before.needs
            for name, before in self.deployment.before.items()
            if before is not None
        }

    def start(self, name: str) -> float | None:
        state, before = self._stack.resources[name], self.deployment.before[name]
        assert before is not None  # noqa: S101  # `edges` leaves new resources out
        handler = HANDLERS[state.type]
        now = replace(state)
        self._stack.resource_to(state, "UPDATE_IN_PROGRESS", self._engine.clock.now())
        state.desired, state.made = before.desired, before.made
        state.deletion_policy = before.deletion_policy
        state.update_replace_policy = before.update_replace_policy
        state.metadata, state.needs = before.metadata, before.needs
        if name in self.deployment.recreated:
            self._reasons[name] = self._made_again(state, now)
        elif now.physical_id != before.physical_id:
            self.surplus[name] = now
        else:
            self._reasons[name] = self._changed_back(state, now)
        if self._reasons.get(name):  # what could not be undone is still there to be undone
            state.desired, state.made = now.desired, now.made
        return handler.pace.update

    def finish(self, name: str) -> bool:
        state = self._stack.resources[name]
        reason = self._reasons.pop(name, "")
        status = "UPDATE_FAILED" if reason else "UPDATE_COMPLETE"
        self._stack.resource_to(state, status, self._engine.clock.now(), reason)
        return not reason

    def cancel(self, name: str) -> None:
        """Every restoration is tried."""

    def stopped(self) -> bool:
        return False

    def _changed_back(self, state: ResourceState, now: ResourceState) -> str:
        handler, made = HANDLERS[state.type], now.made
        if made is None or now.desired == state.desired:
            return ""
        site = self._engine.site(self._stack, state.logical_id)

        def change() -> None:
            state.made = handler.update(site, made, now.desired, state.desired)

        return self._attempt(state, change)

    def _made_again(self, state: ResourceState, now: ResourceState) -> str:
        """The old one had to go before the new one could be made: the other way round."""
        handler, made = HANDLERS[state.type], now.made
        site = self._engine.site(self._stack, state.logical_id)

        def change() -> None:
            if made is not None:
                handler.delete(site, made, now.desired)
            state.made = handler.create(site, state.desired)

        return self._attempt(state, change)

    def _attempt(self, state: ResourceState, call: Callable[[], None]) -> str:
        unique = f"{self._stack.id}/{len(self._stack.events)}"
        return attempt(state.type, unique, call)[1]
