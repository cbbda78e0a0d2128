"""What happens to a stack after the request is answered: create, update, delete, roll back.

Each function runs in a thread of its own in simulated time and ends with the stack at rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flyback.rehearsal.behalf import acting_for
from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.deploy import Deployment
from flyback.rehearsal.cloudformation.design import outputs
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.importing import Identifiers, Import
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.removal import remove
from flyback.rehearsal.cloudformation.rollback import Restoration
from flyback.rehearsal.cloudformation.stack import Output, Stack, Target
from flyback.rehearsal.cloudformation.wave import Outcome, run
from flyback.spec.clock import Clock

__all__ = ["continue_rollback", "create", "delete", "take_in", "update"]

_KEPT = frozenset({"Retain", "RetainExceptOnCreate"})


def create(engine: Engine, stack: Stack, clock: Clock, on_failure: str) -> None:
    """Make everything; where that fails, roll back (`ROLLBACK`), `DELETE` or `DO_NOTHING`."""
    assert stack.target is not None  # noqa: S101  # the request set it
    deployment = Deployment(engine, stack, stack.target)
    outcome = run(deployment.edges(), deployment, clock, halt=True)
    reason = "" if outcome.stopped else _failures("create", outcome)
    if not reason and not outcome.stopped:
        reason = _settle_outputs(engine, stack, deployment)
    if not reason and not outcome.stopped and _rest(engine, stack, "CREATE_COMPLETE"):
        return
    if stack.delete_wanted:
        _give_way(engine, stack, clock)
    elif on_failure == "DO_NOTHING":
        _rest(engine, stack, "CREATE_FAILED", reason)
    elif on_failure == "DELETE":
        stack.to("DELETE_IN_PROGRESS", clock.now(), f"{reason}Delete requested by user.")
        delete(engine, stack, clock, ())
    else:
        _roll_back_create(engine, stack, clock, reason)


def update(engine: Engine, stack: Stack, old: Target, clock: Clock) -> None:
    """Bring the stack from its old target to its new one, or back."""
    assert stack.target is not None  # noqa: S101  # the request set it
    needed = {name: state.needs for name, state in stack.resources.items()}
    deployment = Deployment(engine, stack, stack.target)
    outcome = run(deployment.edges(), deployment, clock, halt=True)
    reason = _update_failures(deployment, outcome) or _settle_outputs(engine, stack, deployment)
    if not reason:
        _clean_up(engine, stack, deployment, clock)
        return
    if stack.disable_rollback:
        _rest(engine, stack, "UPDATE_FAILED", reason)
        return
    stack.to("UPDATE_ROLLBACK_IN_PROGRESS", clock.now(), reason)
    _roll_back_update(engine, stack, Restoration(engine, stack, deployment), old, clock)
    for name, state in stack.resources.items():
        state.needs = needed.get(name, state.needs)


def take_in(
    engine: Engine, stack: Stack, old: Target | None, identifiers: Identifiers, clock: Clock
) -> None:
    """Import what exists; where that fails, leave all of it out again."""
    assert stack.target is not None  # noqa: S101  # the request set it
    deployment = Import(engine, stack, stack.target, identifiers)
    outcome = run(deployment.edges(), deployment, clock, halt=True)
    reason = _failures("import", outcome)
    if not reason:
        _rest(engine, stack, "IMPORT_COMPLETE")
        return
    stack.to("IMPORT_ROLLBACK_IN_PROGRESS", clock.now(), reason)
    for name in identifiers:
        stack.resources.pop(name, None)
    stack.target = old or stack.target
    _rest(engine, stack, "IMPORT_ROLLBACK_COMPLETE")


def continue_rollback(stack: Stack, clock: Clock) -> None:
    """Try again to undo what an update did."""
    assert stack.undo is not None  # noqa: S101  # a rollback that failed left it
    stack.undo(clock)


def delete(engine: Engine, stack: Stack, clock: Clock, retain: Collection[str]) -> None:
    """Take everything away that is not to be kept; the request entered DELETE_IN_PROGRESS."""
    stack.delete_wanted = False
    states = {
        name: state
        for name, state in stack.resources.items()
        if state.status not in ("DELETE_COMPLETE", "DELETE_SKIPPED")
    }
    keep = {name for name, state in states.items() if state.deletion_policy in _KEPT}
    outcome = remove(engine, stack, states, clock, keep=keep | set(retain))
    if outcome.failed:
        _rest(engine, stack, "DELETE_FAILED", _failures("delete", outcome))
        return
    stack.outputs, stack.imports = (), frozenset()
    _rest(engine, stack, "DELETE_COMPLETE")


def _give_way(engine: Engine, stack: Stack, clock: Clock) -> None:
    """Delete what was still being made, in the name of who asked for that."""
    with acting_for(stack.delete_request):
        delete(engine, stack, clock, ())


def _roll_back_create(engine: Engine, stack: Stack, clock: Clock, reason: str) -> None:
    stack.to("ROLLBACK_IN_PROGRESS", clock.now(), f"{reason}Rollback requested by user.")
    keep = {
        name
        for name, state in stack.resources.items()
        if state.deletion_policy == "Retain" and not stack.retain_except_on_create
    }
    outcome = remove(engine, stack, dict(stack.resources), clock, keep=keep)
    if outcome.failed:
        ended = _rest(engine, stack, "ROLLBACK_FAILED", _failures("delete", outcome))
    else:
        ended = _rest(engine, stack, "ROLLBACK_COMPLETE")
    if not ended:
        _give_way(engine, stack, clock)


def _roll_back_update(  # what was, what was done, and why it failed
    engine: Engine, stack: Stack, restoration: Restoration, old: Target, clock: Clock
) -> None:
    outcome = run(restoration.edges(), restoration, clock, halt=False)
    stack.target = old
    if outcome.failed:
        stack.undo = lambda clock: _roll_back_update(engine, stack, restoration, old, clock)
        _rest(engine, stack, "UPDATE_ROLLBACK_FAILED", _failures("update", outcome))
        return
    stack.to("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", clock.now())
    surplus = restoration.surplus
    remove(engine, stack, surplus, clock)
    for name, before in restoration.deployment.before.items():
        if before is None:
            del stack.resources[name]
    was = Deployment(engine, stack, old)
    _settle_outputs(engine, stack, was)
    _rest(engine, stack, "UPDATE_ROLLBACK_COMPLETE")


def _clean_up(engine: Engine, stack: Stack, deployment: Deployment, clock: Clock) -> None:
    stack.to("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", clock.now())
    removed = {
        name: state for name, state in stack.resources.items() if name not in deployment.edges()
    }
    old = deployment.superseded
    keep = {name for name, state in removed.items() if state.deletion_policy in _KEPT}
    keep |= {name for name, state in old.items() if state.update_replace_policy == "Retain"}
    outcome = remove(engine, stack, removed | old, clock, keep=keep)
    for name in removed:
        del stack.resources[name]
    reason = "Update successful. One or more resources could not be deleted."
    _rest(engine, stack, "UPDATE_COMPLETE", reason if outcome.failed else "")


def _rest(engine: Engine, stack: Stack, status: str, reason: str = "") -> bool:
    """Come to rest, unless a deletion was asked for meanwhile."""
    with engine.lock:
        if stack.delete_wanted:
            return False
        stack.to(status, engine.clock.now(), reason)
        stack.working = False
        return True


def _failures(verb: str, outcome: Outcome) -> str:
    return _listed(verb, [*outcome.failed, *outcome.cancelled])


def _listed(verb: str, names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"The following resource(s) failed to {verb}: [{found}]. " if found else ""


def _update_failures(deployment: Deployment, outcome: Outcome) -> str:
    names = [*outcome.failed, *outcome.cancelled]
    made = [name for name in names if deployment.before.get(name) is None]
    changed = [name for name in names if name not in made]
    return _listed("create", made) + _listed("update", changed)


def _settle_outputs(engine: Engine, stack: Stack, deployment: Deployment) -> str:
    """Resolve the outputs and export them; why that fails, or empty."""
    try:
        found = outputs(deployment.resolver)
        _check_exports(engine, stack, found)
    except AwsError as error:
        return f"{error.message} "
    stack.outputs = found
    stack.imports = frozenset(deployment.surroundings.used_imports)
    return ""


def _check_exports(engine: Engine, stack: Stack, found: Iterable[Output]) -> None:
    exported = engine.stacks.exports(stack.account, stack.region)
    after = {item.export_name: item.value for item in found if item.export_name}
    for name in sorted(after):
        if name in exported and exported[name][0] is not stack:
            other = exported[name][0].name
            raise invalid(f"Export with name {name} is already exported by stack {other}.")
    for output in stack.outputs:
        users = engine.stacks.importers(stack.account, stack.region, output.export_name)
        if output.export_name and users and after.get(output.export_name) != output.value:
            verb = "updated" if output.export_name in after else "deleted"
            raise invalid(
                f"Export {output.export_name} cannot be {verb} as it is in use by "
                f"{' and '.join(sorted(users))}"
            )
