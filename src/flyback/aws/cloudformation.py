"""Stacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyback.aws.service import Service
from flyback.errors import NotFoundError, ServiceError

__all__ = [
    "ChangeSetFacts",
    "CloudFormation",
    "ExistingResource",
    "StackEvent",
    "StackFacts",
    "StackResource",
]


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


@dataclass(frozen=True, kw_only=True)
class ExistingResource:
    """A resource that is to become part of a stack.

    Args:
        logical_id: Its name in the template.
        kind: For instance `AWS::S3::Bucket`.
        identifier: Its identifying property and value.
    """

    logical_id: str
    kind: str
    identifier: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ChangeSetFacts:
    """A change set as it stands."""

    stack_id: str
    status: str
    reason: str


def _pairs(values: Mapping[str, str], key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in sorted(values.items())]


_IMPORT = "take-in-what-exists"  # by stack and name, since a permission is given for a stack


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
        self,
        stack: str,
        template: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        *,
        unchanged: Collection[str] = (),
    ) -> bool:
        """Begin to update a stack; false where nothing is to be done.

        Args:
            stack: Name or id.
            template: Its new text.
            parameters: New values.
            tags: Of the stack, and of everything in it that takes tags.
            unchanged: Parameters that keep the value that they have.
        """
        self._intend("update_stack", stack, "stack")
        request = self._request(stack, template, parameters, tags)
        request["Parameters"] += [
            {"ParameterKey": name, "UsePreviousValue": True} for name in sorted(unchanged)
        ]
        try:
            self._call("update_stack", **request)
        except ServiceError as error:
            if "No updates are to be performed" in str(error):
                return False
            raise
        return True

    def prepare_import(
        self,
        stack: str,
        template: str,
        parameters: Mapping[str, str],
        existing: Sequence[ExistingResource],
    ) -> None:
        """Begin to make a change set that takes existing resources into a new stack.

        Args:
            stack: Name of the new stack.
            template: Those resources and no others, and no outputs: an import adds none.
            parameters: Of the template.
            existing: Which resources are meant.
        """
        self._intend("create_change_set", stack, "stack")
        request = self._request(stack, template, parameters, {})
        del request["Tags"]  # an import changes nothing; the update after it does
        answer = self._call(
            "create_change_set",
            ChangeSetName=_IMPORT,
            ChangeSetType="IMPORT",
            ResourcesToImport=[
                {
                    "ResourceType": item.kind,
                    "LogicalResourceId": item.logical_id,
                    "ResourceIdentifier": dict(item.identifier),
                }
                for item in existing
            ],
            **request,
        )
        self._made("create_change_set", stack, "stack", answer["StackId"])

    def prepared_import(self, stack: str) -> ChangeSetFacts:
        """The change set of that stack that takes in what exists."""
        found = self._call("describe_change_set", StackName=stack, ChangeSetName=_IMPORT)
        return ChangeSetFacts(
            stack_id=found["StackId"],
            status=found["Status"],
            reason=found.get("StatusReason", ""),
        )

    def execute_import(self, stack: str) -> None:
        """Begin to take in what exists, as the change set of that stack says."""
        self._call("execute_change_set", StackName=stack, ChangeSetName=_IMPORT)

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
