"""CloudFormation's API, in front of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from flyback.rehearsal.call import Call, Response
from flyback.rehearsal.cloudformation.about_templates import (
    answer_template,
    get_template,
    get_template_summary,
    validate_template,
)
from flyback.rehearsal.cloudformation.change_set import ChangeSets
from flyback.rehearsal.cloudformation.describe import (
    describe_stack_events,
    describe_stack_resource,
    describe_stack_resources,
    describe_stacks,
    list_stack_resources,
    list_stacks,
)
from flyback.rehearsal.cloudformation.engine import Engine, Permit, SimulatedClock
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError
from flyback.rehearsal.cloudformation.requests_for_stacks import (
    continue_update_rollback,
    create_stack,
    delete_stack,
    protect_stack,
    update_stack,
)

__all__ = ["CloudFormationGap"]

_REFUSED: Final[dict[str, frozenset[str]]] = {
    "CreateStack": frozenset(
        {
            "NotificationARNs",
            "ResourceTypes",
            "RoleARN",
            "RollbackConfiguration",
            "StackPolicyBody",
            "StackPolicyURL",
            "TimeoutInMinutes",
        }
    ),
    "UpdateStack": frozenset(
        {
            "NotificationARNs",
            "ResourceTypes",
            "RoleARN",
            "RollbackConfiguration",
            "StackPolicyBody",
            "StackPolicyDuringUpdateBody",
            "StackPolicyDuringUpdateURL",
            "StackPolicyURL",
        }
    ),
    "ContinueUpdateRollback": frozenset({"ResourcesToSkip", "RoleARN"}),
    "DeleteStack": frozenset({"RoleARN"}),
    "CreateChangeSet": frozenset(
        {
            "ImportExistingResources",
            "IncludeNestedStacks",
            "NotificationARNs",
            "ResourceTypes",
            "RoleARN",
            "RollbackConfiguration",
        }
    ),
    "DescribeChangeSet": frozenset({"IncludePropertyValues"}),
    "GetTemplateSummary": frozenset({"StackSetName"}),
}
"""Parameters that would change what happens and are not emulated: given, they are refused."""


class CloudFormationGap:
    """CloudFormation in place of moto's: implements `Gap` for the whole service.

    Operations that it does not have are refused by it too, so that none reaches moto's own
    CloudFormation, which would know nothing of the stacks here.

    Args:
        clients: A boto3 client for a service in a region, calling the same emulated cloud.
        clock: Simulated time.
        permit: Asked before each handler works on a resource; None asks nobody.
    """

    service = "cloudformation"

    def __init__(
        self,
        clients: Callable[[str, str], Any],
        clock: SimulatedClock,
        permit: Permit | None = None,
    ) -> None:
        engine = Engine(clients, clock, permit)
        self._engine = engine
        self._change_sets = ChangeSets(engine)
        plain = {
            "ContinueUpdateRollback": continue_update_rollback,
            "CreateStack": create_stack,
            "DeleteStack": delete_stack,
            "DescribeStackEvents": describe_stack_events,
            "DescribeStackResource": describe_stack_resource,
            "DescribeStackResources": describe_stack_resources,
            "DescribeStacks": describe_stacks,
            "GetTemplateSummary": get_template_summary,
            "ListStackResources": list_stack_resources,
            "ListStacks": list_stacks,
            "UpdateStack": update_stack,
            "UpdateTerminationProtection": protect_stack,
            "ValidateTemplate": validate_template,
        }
        self._answers: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "CreateChangeSet": self._change_sets.create,
            "DeleteChangeSet": self._change_sets.delete,
            "DescribeChangeSet": self._change_sets.describe,
            "ExecuteChangeSet": self._change_sets.execute,
            "GetTemplate": self._get_template,
            "ListChangeSets": self._change_sets.listed,
            "ListExports": self._list_exports,
            **{name: partial(function, engine) for name, function in plain.items()},
        }
        self.operations: frozenset[str] = _all_operations()

    def answer(
        self,
        call: Call,
        forward: Callable[[Call], Response],  # noqa: ARG002  # never moto's
    ) -> Mapping[str, Any]:
        """Answer a call: output shaped like botocore's, times as aware datetimes.

        Raises:
            AwsError: what AWS would say; code `NotEmulated` for what only AWS does.
        """
        function = self._answers.get(call.operation)
        if function is None:
            raise NotEmulatedError(f"cloudformation:{call.operation}")
        for name in sorted(_REFUSED.get(call.operation, ())):
            if _given(call.params.get(name)):
                raise NotEmulatedError(f"{name} of cloudformation:{call.operation}")
        with self._engine.lock:
            return function(call)

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """The tags of a stack, by its ARN or by one with `*` for its id; none where it is gone."""
        _, _, _, region, account, resource = arn.split(":", 5)
        name = resource.split("/")[1] if "/" in resource else ""
        stack = self._engine.stacks.find(account, region, arn)
        stack = stack or self._engine.stacks.find(account, region, name)
        return stack.target.tags if stack is not None and stack.target is not None else {}

    def _get_template(self, call: Call) -> Mapping[str, Any]:
        if call.params.get("ChangeSetName"):
            return answer_template(self._change_sets.template_of(call))
        return get_template(self._engine, call)

    def _list_exports(self, call: Call) -> Mapping[str, Any]:
        found = self._engine.stacks.exports(call.account, call.region)
        return {
            "Exports": [
                {"ExportingStackId": stack.id, "Name": name, "Value": value}
                for name, (stack, value) in sorted(found.items())
            ]
        }


def _given(value: Any) -> bool:
    return bool(value) and str(value).lower() != "false"


def _all_operations() -> frozenset[str]:
    from botocore.loaders import Loader

    model = Loader().load_service_model("cloudformation", "service-2")
    return frozenset(model["operations"])
