"""The reading operations: what stacks are, hold and did, shaped like botocore's outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyback.rehearsal.call import Call
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.names import moment
from flyback.rehearsal.cloudformation.parameters import described
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.resources.handler import pairs
from flyback.rehearsal.cloudformation.stack import Event, Output, ResourceState, Stack

__all__ = [
    "describe_stack_events",
    "describe_stack_resource",
    "describe_stack_resources",
    "describe_stacks",
    "list_stack_resources",
    "list_stacks",
]

_NO_STACK = "Stack with id {} does not exist"


def describe_stacks(engine: Engine, call: Call) -> dict[str, Any]:
    """DescribeStacks: one by name or id, deleted ones by id only; or all live ones."""
    name = call.params.get("StackName")
    if name:
        found = [engine.stacks.get(call.account, call.region, str(name), _NO_STACK)]
    else:
        found = [item for item in engine.stacks.all(call.account, call.region) if not item.gone]
    return {"Stacks": [_stack(item) for item in found]}


def list_stacks(engine: Engine, call: Call) -> dict[str, Any]:
    """ListStacks, deleted ones too."""
    wanted = call.params.get("StackStatusFilter") or ()
    return {
        "StackSummaries": [
            _summary(item)
            for item in engine.stacks.all(call.account, call.region)
            if not wanted or item.status in wanted
        ]
    }


def describe_stack_events(engine: Engine, call: Call) -> dict[str, Any]:
    """DescribeStackEvents, newest first."""
    stack = _named(engine, call, "Stack [{}] does not exist")
    return {"StackEvents": [_event(stack, item) for item in reversed(list(stack.events))]}


def describe_stack_resources(engine: Engine, call: Call) -> dict[str, Any]:
    """DescribeStackResources, of a stack or of the stack that holds a physical id."""
    wanted = call.params.get("LogicalResourceId")
    physical = call.params.get("PhysicalResourceId")
    if physical and not call.params.get("StackName"):
        stack = _holding(engine, call, str(physical))
    else:
        stack = _named(engine, call, _NO_STACK)
    found = [item for item in _states(stack) if not wanted or item.logical_id == wanted]
    if wanted and not found:
        raise invalid(f"Resource {wanted} does not exist for stack {stack.name}")
    return {"StackResources": [_resource(stack, item, "Timestamp") for item in found]}


def describe_stack_resource(engine: Engine, call: Call) -> dict[str, Any]:
    """DescribeStackResource."""
    stack = _named(engine, call, "Stack '{}' does not exist")
    wanted = call.params["LogicalResourceId"]
    for state in _states(stack):
        if state.logical_id == wanted:
            return {"StackResourceDetail": _resource(stack, state, "LastUpdatedTimestamp")}
    raise invalid(f"Resource {wanted} does not exist for stack {stack.name}")


def list_stack_resources(engine: Engine, call: Call) -> dict[str, Any]:
    """ListStackResources."""
    stack = _named(engine, call, _NO_STACK)
    summaries = []
    for state in _states(stack):
        found = _resource(stack, state, "LastUpdatedTimestamp")
        for name in ("Metadata", "StackId", "StackName"):
            found.pop(name, None)
        summaries.append(found)
    return {"StackResourceSummaries": summaries}


def _named(engine: Engine, call: Call, sentence: str) -> Stack:
    name = call.params.get("StackName")
    if not name:
        raise invalid("1 validation error detected: StackName must be specified")
    return engine.stacks.get(call.account, call.region, str(name), sentence)


def _holding(engine: Engine, call: Call, physical_id: str) -> Stack:
    for stack in engine.stacks.all(call.account, call.region):
        if any(item.physical_id == physical_id for item in _states(stack)):
            return stack
    raise invalid(f"Stack for {physical_id} does not exist")


def _states(stack: Stack) -> list[ResourceState]:
    states = list(stack.resources.values())  # a copy: the stack's thread may add to it
    return sorted(states, key=lambda item: item.logical_id)


def _stack(stack: Stack) -> dict[str, Any]:
    target = stack.target
    found: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": moment(stack.created),
        "StackStatus": stack.status,
        "DisableRollback": stack.disable_rollback,
        "EnableTerminationProtection": stack.protected,
        "RetainExceptOnCreate": stack.retain_except_on_create,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        "Capabilities": list(target.capabilities) if target else [],
        "Tags": pairs(target.tags) if target else [],
        "Parameters": described(target.parameters) if target else [],
        "Outputs": [_output(item) for item in stack.outputs],
    }
    if target and target.template.description:
        found["Description"] = target.template.description
    if stack.change_set_id:
        found["ChangeSetId"] = stack.change_set_id
    return found | _ends(stack)


def _summary(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": moment(stack.created),
        "StackStatus": stack.status,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    if stack.target and stack.target.template.description:
        found["TemplateDescription"] = stack.target.template.description
    return found | _ends(stack)


def _ends(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if stack.reason:
        found["StackStatusReason"] = stack.reason
    if stack.updated is not None:
        found["LastUpdatedTime"] = moment(stack.updated)
    if stack.deleted is not None:
        found["DeletionTime"] = moment(stack.deleted)
    return found


def _output(item: Output) -> dict[str, str]:
    found = {"OutputKey": item.key, "OutputValue": item.value}
    if item.description:
        found["Description"] = item.description
    if item.export_name:
        found["ExportName"] = item.export_name
    return found


def _event(stack: Stack, event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {
        "StackId": stack.id,
        "EventId": event.event_id,
        "StackName": stack.name,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "Timestamp": moment(event.at),
        "ResourceStatus": event.status,
    }
    optional: Iterable[tuple[str, str]] = (
        ("ResourceStatusReason", event.reason),
        ("ResourceProperties", event.properties),
        ("ClientRequestToken", event.request_token),
    )
    return found | {key: text for key, text in optional if text}


def _resource(stack: Stack, state: ResourceState, when: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "LogicalResourceId": state.logical_id,
        "ResourceType": state.type,
        when: moment(state.at),
        "ResourceStatus": state.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    if state.physical_id:
        found["PhysicalResourceId"] = state.physical_id
    if state.reason:
        found["ResourceStatusReason"] = state.reason
    return found
