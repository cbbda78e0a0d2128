"""Making and changing resources: the wave of a create or an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.design import desired, resolver_for, schema_of
from flyback.rehearsal.cloudformation.difference import difference
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.failure import RefusedPropertiesError, attempt
from flyback.rehearsal.cloudformation.graph import needs
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.resources.handler import Desired, Handler
from flyback.rehearsal.cloudformation.stack import ResourceState, Stack, Target
from flyback.rehearsal.cloudformation.surroundings import LiveSurroundings

__all__ = ["Deployment"]

_FAILING_S = 1.0
"""Simulated seconds until a failure shows; so others that start with it are under way by then."""

_REPLACING = (
    "Requested update requires the creation of a new physical resource; hence creating one."
)


class Deployment:
    """Work that makes a stack's resources what its target says.

    Args:
        engine: Shared state.
        stack: The stack; its resources are updated as they come.
        target: What it should be.

    Attributes:
        before: Each resource that was touched, as it was; None for a new one.
        superseded: Old resources that a replacement left behind.
        recreated: Resources that had to be deleted before their replacement was made.
    """

    def __init__(self, engine: Engine, stack: Stack, target: Target) -> None:
        self.before: dict[str, ResourceState | None] = {}
        self.superseded: dict[str, ResourceState] = {}
        self.recreated: set[str] = set()
        self.surroundings = LiveSurroundings(engine, stack)
        self.resolver = resolver_for(stack, target, self.surroundings)
        self._engine = engine
        self._stack = stack
        self._target = target
        self._reasons: dict[str, str] = {}
        self._live = frozenset(self.resolver.live())

    def edges(self) -> dict[str, frozenset[str]]:
        """Every resource with those that it needs."""
        declared = self._target.template.resources
        return {name: needs(declared[name], self._live) for name in self._live}

    def start(self, name: str) -> float | None:
        declaration = self._target.template.resources[name]
        state = self._stack.resources.get(name)
        fresh = state is None or state.made is None
        if state is None:
            state = ResourceState(logical_id=name, type=declaration.type)
        try:
            want = desired(self.resolver, self._stack, self._target, name)
        except (RefusedPropertiesError, AwsError) as error:
            self.before[name] = None if fresh else replace(state)
            self._stack.resources[name] = state
            self._enter(state, "CREATE" if fresh else "UPDATE")
            refusal = error.sentence if isinstance(error, RefusedPropertiesError) else error.message
            return self._failing(name, refusal)
        if fresh:
            self.before[name] = None
            self._stack.resources[name] = state
            self._adopt(state)
            return self._create(state, want, "CREATE")
        schema = schema_of(self._stack.region, state.type)
        found = difference(schema, state, declaration, want)
        if not found:
            self._adopt(state)
            return None
        self.before[name] = replace(state)
        self._adopt(state)
        if found.replacing:
            return self._replace(state, want, delete_first=schema.deletes_first)
        return self._update(state, want)

    def finish(self, name: str) -> bool:
        state = self._stack.resources[name]
        verb = state.status.split("_", 1)[0]
        reason = self._reasons.pop(name, "")
        status = f"{verb}_FAILED" if reason else f"{verb}_COMPLETE"
        self._stack.resource_to(state, status, self._engine.clock.now(), reason)
        return not reason

    def cancel(self, name: str) -> None:
        state = self._stack.resources[name]
        verb = state.status.split("_", 1)[0]
        given_up = f"Resource {'creation' if verb == 'CREATE' else 'update'} cancelled"
        reason = self._reasons.pop(name, given_up)
        self._stack.resource_to(state, f"{verb}_FAILED", self._engine.clock.now(), reason)

    def stopped(self) -> bool:
        return self._stack.delete_wanted

    def _adopt(self, state: ResourceState) -> None:
        """What the template says about a resource besides its properties."""
        declaration = self._target.template.resources[state.logical_id]
        state.needs = needs(declaration, self._live)
        state.deletion_policy = declaration.deletion_policy
        state.update_replace_policy = declaration.update_replace_policy
        state.metadata = declaration.metadata

    def _create(self, state: ResourceState, want: Desired, verb: str, reason: str = "") -> float:
        handler, name = HANDLERS[state.type], state.logical_id
        state.desired, state.made = want, None
        self._enter(state, verb, reason)
        site = self._engine.site(self._stack, name)

        def make() -> None:
            self._engine.permit(self._stack, state.type, "create", want)
            handler.create(site, want)

        failure = self._attempt(state, make)
        state.made = site.claimed
        if failure:
            return self._failing(name, failure)
        self._enter(state, verb, "Resource creation Initiated")
        return handler.pace.create

    def _update(self, state: ResourceState, want: Desired) -> float:
        handler, made, old = HANDLERS[state.type], state.made, state.desired
        assert made is not None  # noqa: S101  # only what exists is updated
        state.desired = want
        self._enter(state, "UPDATE")
        site = self._engine.site(self._stack, state.logical_id)

        def change() -> None:
            self._engine.permit(self._stack, state.type, "update", want)
            state.made = handler.update(site, made, old, want)

        unchanged = old == want  # only the template's attributes differ
        failure = "" if unchanged else self._attempt(state, change)
        return self._failing(state.logical_id, failure) if failure else handler.pace.update

    def _replace(self, state: ResourceState, want: Desired, *, delete_first: bool) -> float:
        handler, old = HANDLERS[state.type], replace(state)
        name = state.logical_id
        if _keeps_its_name(handler, old.desired, want):
            self._enter(state, "UPDATE", _REPLACING)
            return self._failing(
                name,
                "CloudFormation cannot update a stack when a custom-named resource requires "
                f"replacing. Rename {want.get(handler.name_property)} and update the stack again.",
            )
        if not delete_first:
            self.superseded[name] = old
            return self._create(state, want, "UPDATE", _REPLACING)
        made = old.made
        assert made is not None  # noqa: S101  # only what exists is replaced
        self._enter(state, "UPDATE", _REPLACING)
        site = self._engine.site(self._stack, name)

        def remove() -> None:
            self._engine.permit(self._stack, state.type, "delete", old.desired)
            handler.delete(site, made, old.desired)

        failure = self._attempt(state, remove)
        if failure:
            return self._failing(name, failure)
        self.recreated.add(name)
        return self._create(state, want, "UPDATE")

    def _attempt(self, state: ResourceState, call: Callable[[], object]) -> str:
        unique = f"{self._stack.id}/{len(self._stack.events)}"

        def done() -> None:
            call()

        return attempt(state.type, unique, done)[1]

    def _enter(self, state: ResourceState, verb: str, reason: str = "") -> None:
        self._stack.resource_to(state, f"{verb}_IN_PROGRESS", self._engine.clock.now(), reason)

    def _failing(self, name: str, reason: str) -> float:
        self._reasons[name] = reason
        return _FAILING_S


def _keeps_its_name(handler: Handler, old: Desired, new: Desired) -> bool:
    name = handler.name_property
    return bool(name and new.get(name)) and old.get(name) == new.get(name)
