"""Create, update, delete and protect a stack: answered at once, done later."""

from __future__ import annotations

from typing import Any, Final

from flyback.rehearsal.behalf import acted_for
from flyback.rehearsal.call import AwsError, Call
from flyback.rehearsal.cloudformation.changes import Preview
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.importing import Identifiers
from flyback.rehearsal.cloudformation.operations import (
    continue_rollback,
    create,
    delete,
    take_in,
    update,
)
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid
from flyback.rehearsal.cloudformation.request import check_stack_name, is_true, requested_target
from flyback.rehearsal.cloudformation.stack import Stack, Target

__all__ = [
    "UPDATABLE",
    "begin_create",
    "begin_import",
    "begin_update",
    "continue_update_rollback",
    "create_stack",
    "delete_stack",
    "protect_stack",
    "update_stack",
]

UPDATABLE: Final = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)
_CREATING = frozenset({"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"})


def create_stack(engine: Engine, call: Call) -> dict[str, Any]:
    """CreateStack."""
    name = str(call.params["StackName"])
    check_stack_name(name)
    token = str(call.params.get("ClientRequestToken") or "")
    there = engine.stacks.find(call.account, call.region, name)
    if there is not None:
        if token and token == there.request_token and there.status.startswith("CREATE_"):
            return {"StackId": there.id}
        raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
    target = requested_target(engine, call)
    on_failure = _on_failure(call)
    stack = engine.stacks.add(call.account, call.region, name, engine.clock.now())
    stack.request_token = token
    stack.protected = is_true(call.params.get("EnableTerminationProtection"))
    stack.disable_rollback = on_failure == "DO_NOTHING"
    stack.retain_except_on_create = is_true(call.params.get("RetainExceptOnCreate"))
    begin_create(engine, stack, target, on_failure)
    return {"StackId": stack.id}


def update_stack(engine: Engine, call: Call) -> dict[str, Any]:
    """UpdateStack."""
    name = str(call.params["StackName"])
    stack = engine.stacks.get(call.account, call.region, name, "Stack [{}] does not exist")
    if stack.status not in UPDATABLE:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
    target = requested_target(engine, call, stack)
    if Preview(engine, stack, target).nothing() and stack.status != "UPDATE_FAILED":
        raise invalid("No updates are to be performed.")
    stack.request_token = str(call.params.get("ClientRequestToken") or "")
    stack.disable_rollback = is_true(call.params.get("DisableRollback"))
    begin_update(engine, stack, target)
    return {"StackId": stack.id}


def continue_update_rollback(engine: Engine, call: Call) -> dict[str, Any]:
    """ContinueUpdateRollback."""
    name = str(call.params["StackName"])
    stack = engine.stacks.get(call.account, call.region, name, "Stack [{}] does not exist")
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    stack.to("UPDATE_ROLLBACK_IN_PROGRESS", engine.clock.now(), "User Initiated")
    engine.begin(stack, lambda clock: continue_rollback(stack, clock))
    return {}


def delete_stack(engine: Engine, call: Call) -> dict[str, Any]:
    """DeleteStack; deleting what is not there succeeds, as on AWS."""
    name = str(call.params["StackName"])
    stack = engine.stacks.find(call.account, call.region, name)
    if stack is None or stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
        return {}
    if call.params.get("DeletionMode") not in (None, "", "STANDARD"):
        raise NotEmulatedError(f"DeletionMode {call.params['DeletionMode']}")
    retain = tuple(call.params.get("RetainResources") or ())
    _check_deletable(engine, stack, retain)
    stack.request_token = str(call.params.get("ClientRequestToken") or "")
    stack.to("DELETE_IN_PROGRESS", engine.clock.now(), "User Initiated")
    if stack.working:  # its thread finds out when it next wakes, and deletes
        stack.delete_wanted, stack.delete_request = True, acted_for()
    else:
        engine.begin(stack, lambda clock: delete(engine, stack, clock, retain))
    return {}


def protect_stack(engine: Engine, call: Call) -> dict[str, Any]:
    """UpdateTerminationProtection."""
    name = str(call.params["StackName"])
    stack = engine.stacks.get(call.account, call.region, name, "Stack [{}] does not exist")
    stack.protected = is_true(call.params.get("EnableTerminationProtection"))
    return {"StackId": stack.id}


def begin_create(engine: Engine, stack: Stack, target: Target, on_failure: str) -> None:
    """Enter CREATE_IN_PROGRESS and start to work."""
    stack.target = target
    stack.to("CREATE_IN_PROGRESS", engine.clock.now(), "User Initiated")
    engine.begin(stack, lambda clock: create(engine, stack, clock, on_failure))


def begin_import(engine: Engine, stack: Stack, target: Target, identifiers: Identifiers) -> None:
    """Enter IMPORT_IN_PROGRESS and start to work."""
    old, stack.target = stack.target, target
    stack.to("IMPORT_IN_PROGRESS", engine.clock.now(), "User Initiated")
    engine.begin(stack, lambda clock: take_in(engine, stack, old, identifiers, clock))


def begin_update(engine: Engine, stack: Stack, target: Target) -> None:
    """Enter UPDATE_IN_PROGRESS and start to work."""
    old = stack.target
    assert old is not None  # noqa: S101  # a stack that can be updated has one
    stack.target = target
    stack.updated = engine.clock.now()
    stack.to("UPDATE_IN_PROGRESS", engine.clock.now(), "User Initiated")
    engine.begin(stack, lambda clock: update(engine, stack, old, clock))


def _on_failure(call: Call) -> str:
    given = call.params.get("OnFailure")
    disabled = call.params.get("DisableRollback")
    if given and disabled is not None:
        raise invalid("You can specify either DisableRollback or OnFailure, but not both.")
    if is_true(disabled):
        return "DO_NOTHING"
    return str(given or "ROLLBACK")


def _check_deletable(engine: Engine, stack: Stack, retain: tuple[str, ...]) -> None:
    if stack.protected:
        raise invalid(
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        )
    if stack.working and stack.status not in _CREATING:
        raise invalid(f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
    for output in stack.outputs:
        users = engine.stacks.importers(stack.account, stack.region, output.export_name)
        if output.export_name and users:
            raise invalid(
                f"Export {output.export_name} cannot be deleted as it is in use by "
                f"{' and '.join(sorted(users))}"
            )
    if not retain:
        return
    if stack.status != "DELETE_FAILED":
        raise invalid(
            f"Invalid operation on stack [{stack.id}]. When you delete a stack, specify which "
            "resources to retain only when the stack is in the DELETE_FAILED state."
        )
    for name in retain:
        state = stack.resources.get(name)
        if state is None or state.status == "DELETE_COMPLETE":
            raise invalid(
                "The specified resources to retain must be in a valid state. Do not specify "
                "resources that are in the DELETE_COMPLETE state."
            )
