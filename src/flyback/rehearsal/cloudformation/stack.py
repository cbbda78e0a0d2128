"""A stack's state and its history, and the register of all stacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyback.rehearsal.behalf import Accepted
from flyback.rehearsal.cloudformation.names import stack_arn, token
from flyback.rehearsal.cloudformation.parameters import ParameterValue
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.resources.handler import Desired, Made
from flyback.rehearsal.cloudformation.template import Template
from flyback.spec.clock import Clock

__all__ = ["Event", "Output", "Register", "ResourceState", "Stack", "Target"]

_GONE = "DELETE_COMPLETE"
_STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a stack is asked to be."""

    template: Template
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a stack's history."""

    event_id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    at: float
    properties: str
    request_token: str


@dataclass(frozen=True, kw_only=True)
class Output:
    """A resolved output."""

    key: str
    value: str
    description: str = ""
    export_name: str = ""


@dataclass(kw_only=True)
class ResourceState:
    """A resource of a stack, as far as it has come."""

    logical_id: str
    type: str
    status: str = ""
    reason: str = ""
    at: float = 0.0
    made: Made | None = None
    desired: Desired = field(default_factory=lambda: Desired(properties={}))
    needs: frozenset[str] = frozenset()
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    metadata: Any = None

    @property
    def physical_id(self) -> str:
        """What `Ref` gives; empty before anything exists."""
        return self.made.physical_id if self.made else ""


@dataclass(kw_only=True)
class Stack:
    """A stack.

    Args:
        id: Its ARN.
        name: Its name.
        account: Twelve digits.
        region: Its region.
        created: Simulated seconds since the epoch.
        target: What it is, or is becoming; None while it is only reviewed.
        request_token: The caller's token for the operation under way.
        delete_request: The request to delete it, where `delete_wanted`.
        undo: Tries again to roll back an update whose rollback failed.
    """

    id: str
    name: str
    account: str
    region: str
    created: float
    target: Target | None = None
    status: str = ""
    reason: str = ""
    updated: float | None = None
    deleted: float | None = None
    resources: dict[str, ResourceState] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    imports: frozenset[str] = frozenset()
    events: list[Event] = field(default_factory=list)
    protected: bool = False
    disable_rollback: bool = False
    retain_except_on_create: bool = False
    change_set_id: str = ""
    request_token: str = ""
    delete_wanted: bool = False
    delete_request: Accepted | None = None
    working: bool = False
    created_names: int = 0
    undo: Callable[[Clock], None] | None = None

    @property
    def gone(self) -> bool:
        """Whether it is deleted; then only its id finds it."""
        return self.status == _GONE

    def to(self, status: str, at: float, reason: str = "") -> None:
        """The stack itself enters a state."""
        self.status, self.reason = status, reason
        if status == _GONE:
            self.deleted = at
        self._record((self.name, self.id, _STACK_TYPE), status, reason, at, "")

    def resource_to(self, state: ResourceState, status: str, at: float, reason: str = "") -> None:
        """A resource enters a state."""
        state.status, state.reason, state.at = status, reason, at
        properties = json.dumps(state.desired.properties) if state.desired.properties else ""
        who = (state.logical_id, state.physical_id, state.type)
        self._record(who, status, reason, at, properties)

    def _record(
        self, who: tuple[str, str, str], status: str, reason: str, at: float, properties: str
    ) -> None:
        logical_id, physical_id, kind = who
        self.events.append(
            Event(
                event_id=token(self.id, "event", len(self.events)),
                logical_id=logical_id,
                physical_id=physical_id,
                type=kind,
                status=status,
                reason=reason,
                at=at,
                properties=properties,
                request_token=self.request_token,
            )
        )


class Register:
    """All stacks of all accounts and regions, deleted ones too."""

    def __init__(self) -> None:
        self._stacks: dict[str, Stack] = {}

    def add(self, account: str, region: str, name: str, at: float) -> Stack:
        """A new stack, still without a state."""
        stack_id = stack_arn(account, region, name, len(self._stacks) + 1)
        stack = Stack(id=stack_id, name=name, account=account, region=region, created=at)
        self._stacks[stack_id] = stack
        return stack

    def all(self, account: str, region: str) -> Iterator[Stack]:
        """Stacks of one account and region, newest first."""
        for stack in reversed(list(self._stacks.values())):  # IAM reads them unlocked
            if (stack.account, stack.region) == (account, region):
                yield stack

    def find(self, account: str, region: str, name_or_id: str) -> Stack | None:
        """A stack by id, or a live one by name."""
        for stack in self.all(account, region):
            if stack.id == name_or_id or (stack.name == name_or_id and not stack.gone):
                return stack
        return None

    def get(self, account: str, region: str, name_or_id: str, sentence: str) -> Stack:
        """A stack by id, or a live one by name.

        Raises:
            AwsError: `ValidationError` with the sentence, `{}` in it replaced by what was asked.
        """
        found = self.find(account, region, name_or_id)
        if found is None:
            raise invalid(sentence.format(name_or_id))
        return found

    def exports(self, account: str, region: str) -> dict[str, tuple[Stack, str]]:
        """Exported values by name, with the stack that exports them."""
        return {
            output.export_name: (stack, output.value)
            for stack in self.all(account, region)
            if not stack.gone
            for output in stack.outputs
            if output.export_name
        }

    def importers(self, account: str, region: str, export: str) -> list[str]:
        """Names of the live stacks that import a value."""
        return [
            stack.name
            for stack in self.all(account, region)
            if not stack.gone and export in stack.imports
        ]
