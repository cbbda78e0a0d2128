"""From a declaration to what a resource should be: resolved, converted, checked, tagged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.failure import RefusedPropertiesError
from flyback.rehearsal.cloudformation.intrinsics import Resolver, Surroundings
from flyback.rehearsal.cloudformation.names import partition_of
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.resources.handler import Desired
from flyback.rehearsal.cloudformation.schema import ResourceSchema, resource_schema
from flyback.rehearsal.cloudformation.stack import Output, ResourceState, Stack, Target

__all__ = [
    "attribute_of",
    "desired",
    "outputs",
    "resolver_for",
    "schema_of",
    "tags_for",
]


def schema_of(region: str, type_name: str) -> ResourceSchema:
    """The schema of a type that has a handler."""
    found = resource_schema(region, type_name)
    if found is None:
        raise invalid(f"Template format error: Unrecognized resource types: [{type_name}]")
    return found


def resolver_for(stack: Stack, target: Target, surroundings: Surroundings) -> Resolver:
    """The resolver of a stack's template."""
    values: dict[str, Any] = {
        key: item.value if isinstance(item.value, str) else list(item.value)
        for key, item in target.parameters.items()
    }
    partition = partition_of(stack.region)
    values |= {
        "AWS::AccountId": stack.account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": partition,
        "AWS::Region": stack.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
    }
    return Resolver(template=target.template, parameters=values, surroundings=surroundings)


def desired(resolver: Resolver, stack: Stack, target: Target, logical_id: str) -> Desired:
    """What a resource should be.

    Raises:
        RefusedPropertiesError: its properties break the schema or can't be resolved.
        NotEmulatedError: it asks for something that the rehearsal does not do.
    """
    declaration = resolver.template.resources[logical_id]
    schema = schema_of(stack.region, declaration.type)
    try:
        resolved = resolver.resolve(declaration.properties)
    except NotEmulatedError:
        raise
    except AwsError as error:
        raise RefusedPropertiesError(error.message) from error
    properties = schema.coerced(resolved)
    problems = schema.problems(properties)
    if problems:
        raise RefusedPropertiesError(_sentence(logical_id, problems))
    beyond = sorted(HANDLERS[declaration.type].not_emulated & set(properties))
    if beyond:
        raise NotEmulatedError(f"the property {beyond[0]} of {declaration.type}")
    return Desired(
        properties=properties,
        tags=tags_for(stack, target, declaration.type, logical_id, properties),
    )


def tags_for(
    stack: Stack, target: Target, kind: str, logical_id: str, properties: Mapping[str, Any]
) -> dict[str, str]:
    """What a resource carries: the stack's tags, its own, which win, and CloudFormation's."""
    schema = schema_of(stack.region, kind)
    if not schema.taggable:
        return {}
    own = properties.get("Tags", [])
    if not isinstance(own, Mapping):
        own = {item["Key"]: item["Value"] for item in own}
    found = {**target.tags, **own}
    if schema.takes_system_tags and HANDLERS[kind].system_tags:
        found["aws:cloudformation:logical-id"] = logical_id
        found["aws:cloudformation:stack-id"] = stack.id
        found["aws:cloudformation:stack-name"] = stack.name
    return found


def attribute_of(stack: Stack, state: ResourceState, name: str) -> Any:
    """An attribute of a resource that exists.

    Raises:
        AwsError: the type has no such attribute.
        NotEmulatedError: it has, and the rehearsal does not know its value.
    """
    if not schema_of(stack.region, state.type).has_attribute(name):
        raise invalid(
            f"Template error: resource {state.logical_id} does not support attribute type {name} "
            "in Fn::GetAtt"
        )
    if state.made is not None and name in state.made.attributes:
        return state.made.attributes[name]
    found: Any = state.desired.properties
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None:
        raise NotEmulatedError(f"the attribute {name} of {state.type}")
    return found


def outputs(resolver: Resolver) -> tuple[Output, ...]:
    """A template's outputs.

    Raises:
        AwsError: one can't be resolved.
    """
    return tuple(
        Output(
            key=item.key,
            value=resolver.text(item.value),
            description=item.description,
            export_name="" if item.export_name is None else resolver.text(item.export_name),
        )
        for item in resolver.template.outputs.values()
        if resolver.condition(item.condition)
    )


def _sentence(logical_id: str, problems: list[str]) -> str:
    if all(item.startswith(("Encountered", "Property validation")) for item in problems):
        return "\n".join(problems)
    return f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(
        problems
    )
