"""Change sets: an update thought through first and executed later, or never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flyback.rehearsal.call import AwsError, Call
from flyback.rehearsal.cloudformation.changes import Change, Detail, Preview
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.importing import (
    Identifiers,
    check_import,
    identifiers_of,
)
from flyback.rehearsal.cloudformation.names import change_set_arn, moment
from flyback.rehearsal.cloudformation.parameters import described
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.request import (
    check_stack_name,
    is_true,
    requested_target,
)
from flyback.rehearsal.cloudformation.requests_for_stacks import (
    UPDATABLE,
    begin_create,
    begin_import,
    begin_update,
)
from flyback.rehearsal.cloudformation.resources.handler import pairs
from flyback.rehearsal.cloudformation.stack import Stack, Target
from flyback.spec.clock import Clock

__all__ = ["ChangeSets"]

_CREATING_S = 5.0
"""Simulated seconds that AWS takes to think a change set through; unverified."""

_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


@dataclass(kw_only=True)
class _ChangeSet:
    id: str
    name: str
    stack: Stack
    kind: str
    target: Target
    created: float
    description: str = ""
    on_failure: str = "ROLLBACK"
    status: str = "CREATE_PENDING"
    reason: str = ""
    execution: str = "UNAVAILABLE"
    changes: tuple[Change, ...] = ()
    identifiers: Identifiers = field(default_factory=dict)


class ChangeSets:
    """The change-set operations.

    Args:
        engine: Shared state.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sets: dict[str, _ChangeSet] = {}
        self._made = 0

    def create(self, call: Call) -> dict[str, Any]:
        """CreateChangeSet."""
        kind = str(call.params.get("ChangeSetType") or "UPDATE")
        name = str(call.params["ChangeSetName"])
        stack = self._subject(call, kind)
        if stack is not None and self._find(stack, name) is not None:
            raise AwsError("AlreadyExistsException", f"ChangeSet {name} already exists")
        target = requested_target(self._engine, call, stack)
        identifiers = identifiers_of(call.params.get("ResourcesToImport"))
        if (kind == "IMPORT") != bool(identifiers):
            raise invalid("ResourcesToImport goes with ChangeSetType IMPORT, and only with that")
        if identifiers:
            check_import(self._engine, stack or self._unmade(call), target, identifiers)
        if stack is None:
            stack = self._review(call)
        self._made += 1
        found = _ChangeSet(
            id=change_set_arn(call.account, call.region, name, self._made),
            name=name,
            stack=stack,
            kind=kind,
            target=target,
            created=self._engine.clock.now(),
            description=str(call.params.get("Description") or ""),
            on_failure=str(call.params.get("OnStackFailure") or "ROLLBACK"),
            identifiers=identifiers,
        )
        self._sets[found.id] = found

        def think(clock: Clock) -> None:
            clock.sleep(_CREATING_S)
            with self._engine.lock:
                self._think(found)

        self._engine.spawn(f"change set {self._made}", think)
        return {"Id": found.id, "StackId": stack.id}

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeChangeSet."""
        found = self._get(call)
        stack = found.stack
        answer: dict[str, Any] = {
            "ChangeSetName": found.name,
            "ChangeSetId": found.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "Parameters": described(found.target.parameters),
            "CreationTime": moment(found.created),
            "ExecutionStatus": found.execution,
            "Status": found.status,
            "NotificationARNs": [],
            "Capabilities": list(found.target.capabilities),
            "Tags": pairs(found.target.tags),
            "Changes": [_shown(change) for change in found.changes],
            "IncludeNestedStacks": False,
        }
        if found.description:
            answer["Description"] = found.description
        if found.reason:
            answer["StatusReason"] = found.reason
        return answer

    def execute(self, call: Call) -> dict[str, Any]:
        """ExecuteChangeSet."""
        found = self._get(call)
        if found.status != "CREATE_COMPLETE":
            raise AwsError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{found.id}] cannot be executed in its current status of "
                f"[{found.status}]",
            )
        if found.execution != "AVAILABLE":
            raise AwsError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{found.id}] cannot be executed in its current execution status of "
                f"[{found.execution}]",
            )
        stack = found.stack
        found.execution = "EXECUTE_COMPLETE"
        stack.change_set_id = found.id
        stack.request_token = str(call.params.get("ClientRequestToken") or "")
        stack.disable_rollback = is_true(call.params.get("DisableRollback"))
        stack.retain_except_on_create = is_true(call.params.get("RetainExceptOnCreate"))
        for other in self._of(stack):  # one executed makes all others obsolete
            if other is not found:
                other.execution = "OBSOLETE"
        if found.kind == "CREATE":
            on_failure = "DO_NOTHING" if stack.disable_rollback else found.on_failure
            begin_create(self._engine, stack, found.target, on_failure)
        elif found.kind == "IMPORT":
            begin_import(self._engine, stack, found.target, found.identifiers)
        else:
            begin_update(self._engine, stack, found.target)
        return {}

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteChangeSet; deleting what is not there succeeds, as on AWS."""
        try:
            found = self._get(call)
        except AwsError as error:
            if error.code != "ChangeSetNotFound":
                raise
            return {}
        del self._sets[found.id]
        return {}

    def listed(self, call: Call) -> dict[str, Any]:
        """ListChangeSets."""
        stack = self._stack(call)
        return {
            "Summaries": [
                {
                    "StackId": stack.id,
                    "StackName": stack.name,
                    "ChangeSetId": item.id,
                    "ChangeSetName": item.name,
                    "ExecutionStatus": item.execution,
                    "Status": item.status,
                    "CreationTime": moment(item.created),
                    **({"StatusReason": item.reason} if item.reason else {}),
                    **({"Description": item.description} if item.description else {}),
                }
                for item in self._of(stack)
            ]
        }

    def template_of(self, call: Call) -> str:
        """The template that a change set would deploy."""
        return self._get(call).target.template.body

    def _subject(self, call: Call, kind: str) -> Stack | None:
        """The stack that a new change set is for; None where it is to be made."""
        name = str(call.params["StackName"])
        stack = self._engine.stacks.find(call.account, call.region, name)
        if kind == "CREATE":
            check_stack_name(name if stack is None else stack.name)
            if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                raise invalid(
                    f"Stack [{name}] already exists and cannot be created again with the "
                    f"changeSet [{call.params['ChangeSetName']}]."
                )
            return stack
        if kind == "IMPORT" and (stack is None or stack.status == "REVIEW_IN_PROGRESS"):
            return stack  # into a new one
        if stack is None:
            raise invalid(f"Stack [{name}] does not exist")
        if stack.status not in UPDATABLE:
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        return stack

    def _unmade(self, call: Call) -> Stack:
        """What a new stack would be, before it is sure that there will be one."""
        now = self._engine.clock.now()
        return Stack(
            id="",
            name=str(call.params["StackName"]),
            account=call.account,
            region=call.region,
            created=now,
        )

    def _review(self, call: Call) -> Stack:
        name, now = str(call.params["StackName"]), self._engine.clock.now()
        stack = self._engine.stacks.add(call.account, call.region, name, now)
        stack.to("REVIEW_IN_PROGRESS", now, "User Initiated")
        return stack

    def _think(self, found: _ChangeSet) -> None:
        try:
            preview = Preview(self._engine, found.stack, found.target)
        except AwsError as error:
            found.status, found.reason = "FAILED", error.message
            return
        action = "Import" if found.kind == "IMPORT" else "Add"
        found.changes = tuple(
            replace(change, action=action) if change.action == "Add" else change
            for change in preview.changes
        )
        if preview.nothing():
            found.status, found.reason = "FAILED", _NO_CHANGES
            return
        found.status, found.execution = "CREATE_COMPLETE", "AVAILABLE"

    def _stack(self, call: Call) -> Stack:
        name = str(call.params["StackName"])
        return self._engine.stacks.get(call.account, call.region, name, "Stack [{}] does not exist")

    def _of(self, stack: Stack) -> list[_ChangeSet]:
        return [item for item in self._sets.values() if item.stack is stack]

    def _find(self, stack: Stack, name_or_id: str) -> _ChangeSet | None:
        for item in reversed(self._of(stack)):
            if name_or_id in (item.name, item.id):
                return item
        return None

    def _get(self, call: Call) -> _ChangeSet:
        name = str(call.params["ChangeSetName"])
        if call.params.get("StackName"):
            found = self._find(self._stack(call), name)
        else:
            found = self._sets.get(name)
        if found is None:
            raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
        return found


def _shown(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "ResourceType": change.type,
        "Scope": sorted({item.attribute for item in change.details}),
        "Details": [_detail(item) for item in change.details],
    }
    if change.physical_id:
        found["PhysicalResourceId"] = change.physical_id
    if change.policy:
        found["PolicyAction"] = change.policy
    if change.action == "Modify":
        found["Replacement"] = change.replacement
    return {"Type": "Resource", "ResourceChange": found}


def _detail(item: Detail) -> dict[str, Any]:
    target: dict[str, str] = {"Attribute": item.attribute}
    if item.attribute in ("Properties", "Tags"):
        target["RequiresRecreation"] = item.recreation
    if item.name:
        target["Name"] = item.name
    found: Mapping[str, Any] = {
        "Target": target,
        "Evaluation": item.evaluation,
        "ChangeSource": item.source,
        **({"CausingEntity": item.causing} if item.causing else {}),
    }
    return dict(found)
