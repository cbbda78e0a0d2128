"""Stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyback.aws.service import Service
from flyback.errors import NotFoundError, ServiceError

__all__ = ["CloudFormation", "StackEvent", "StackFacts", "StackResource"]


@dataclass(frozen=True, kw_only=True)
class StackFacts:
    """A stack as it stands."""

    stack_id: str
    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StackEvent:
    """One line of a stack's history."""

    event_id: str
    logical_id: str
    kind: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StackResource:
    """One resource of a stack."""

    logical_id: str
    physical_id: str
    kind: str
    status: str


def _pairs(values: Mapping[str, str], key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in sorted(values.items())]


class CloudFormation(Service):
    """CloudFormation."""

    def describe(self, stack: str) -> StackFacts | None:
        """A stack by name or id; None where there is none."""
        try:
            answer = self._call("describe_stacks", StackName=stack)
        except (NotFoundError, ServiceError) as error:
            if "does not exist" in str(error):
                return None
            raise
        found = answer["Stacks"][0]
        return StackFacts(
            stack_id=found["StackId"],
            name=found["StackName"],
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            parameters={
                item["ParameterKey"]: item.get("ParameterValue", "")
                for item in found.get("Parameters", [])
            },
            outputs={item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])},
            tags={item["Key"]: item["Value"] for item in found.get("Tags", [])},
        )

    def template(self, stack: str) -> str:
        """The template as it was sent."""
        body: Any = self._call("get_template", StackName=stack, TemplateStage="Original")[
            "TemplateBody"
        ]
        return str(body)

    def create(
        self, stack: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> str:
        """Begin to create a stack; its id."""
        self._intend("create_stack", stack, "stack")
        answer = self._call("create_stack", **self._request(stack, template, parameters, tags))
        self._made("create_stack", stack, "stack", answer["StackId"])
        return str(answer["StackId"])

    def update(
        self, stack: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> bool:
        """Begin to update a stack; false where nothing is to be done."""
        self._intend("update_stack", stack, "stack")
        try:
            self._call("update_stack", **self._request(stack, template, parameters, tags))
        except ServiceError as error:
            if "No updates are to be performed" in str(error):
                return False
            raise
        return True

    def continue_rollback(self, stack: str) -> None:
        """Try again to roll back an update whose rollback failed."""
        self._call("continue_update_rollback", StackName=stack)

    def delete(self, stack: str, *, keep: tuple[str, ...] = ()) -> None:
        """Begin to delete a stack.

        Args:
            stack: Name or id.
            keep: Logical ids to leave in the account; only a stack in DELETE_FAILED takes them.
        """
        retain = {"RetainResources": list(keep)} if keep else {}
        self._call("delete_stack", StackName=stack, **retain)

    def events(self, stack: str) -> tuple[StackEvent, ...]:
        """A stack's history, oldest first."""
        found = self._pages("describe_stack_events", "StackEvents", StackName=stack)
        return tuple(
            StackEvent(
                event_id=item["EventId"],
                logical_id=item.get("LogicalResourceId", ""),
                kind=item.get("ResourceType", ""),
                status=item["ResourceStatus"],
                reason=item.get("ResourceStatusReason", ""),
            )
            for item in reversed(list(found))
        )

    def resources(self, stack: str) -> tuple[StackResource, ...]:
        """What a stack holds, or held where it is named by id."""
        found = self._pages("list_stack_resources", "StackResourceSummaries", StackName=stack)
        return tuple(
            StackResource(
                logical_id=item["LogicalResourceId"],
                physical_id=item.get("PhysicalResourceId", ""),
                kind=item["ResourceType"],
                status=item["ResourceStatus"],
            )
            for item in found
        )

    @staticmethod
    def _request(
        stack: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "StackName": stack,
            "TemplateBody": template,
            "Parameters": _pairs(parameters, "ParameterKey", "ParameterValue"),
            "Tags": _pairs(tags, "Key", "Value"),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
