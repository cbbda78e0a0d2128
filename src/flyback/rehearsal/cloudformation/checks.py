"""What CloudFormation refuses before it makes anything: types, names, functions, capabilities."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, Final

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.design import schema_of
from flyback.rehearsal.cloudformation.graph import check_names
from flyback.rehearsal.cloudformation.intrinsics import check_functions
from flyback.rehearsal.cloudformation.parameters import check_declarations
from flyback.rehearsal.cloudformation.references import references
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid
from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.schema import resource_schema
from flyback.rehearsal.cloudformation.template import Template, parse

__all__ = ["capabilities_reason", "check_capabilities", "checked", "needed_capabilities"]

_IAM: Final = frozenset(
    {
        "AWS::IAM::AccessKey",
        "AWS::IAM::Group",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::User",
        "AWS::IAM::UserToGroupAddition",
    }
)


@lru_cache(maxsize=16)
def checked(body: str, region: str) -> Template:
    """A template that every check has passed; parsing takes a tenth of a second, so once.

    Raises:
        AwsError: `ValidationError` in AWS's words; `NotEmulated` for what only AWS knows.
    """
    template = parse(body)
    _check_types(template, region)
    check_declarations(template.parameters)
    for declaration in template.resources.values():
        check_functions(declaration.properties)
    for output in template.outputs.values():
        check_functions(output.value)
    check_functions(template.conditions)
    check_names(template)
    _check_attributes(template, region)
    _check_emulated(template)
    return template


def needed_capabilities(template: Template) -> list[str]:
    """What the caller must acknowledge."""
    kinds = [item for item in template.resources.values() if item.type in _IAM]
    if not kinds:
        return []
    named = any(
        HANDLERS[item.type].name_property in item.properties
        for item in kinds
        if item.type in HANDLERS and HANDLERS[item.type].name_property
    )
    return ["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"]


def capabilities_reason(template: Template) -> str:
    """Why, in AWS's words."""
    kinds = sorted({item.type for item in template.resources.values() if item.type in _IAM})
    return f"The following resource(s) require capabilities: [{', '.join(kinds)}]"


def check_capabilities(template: Template, given: Collection[str]) -> None:
    """Refuse what the caller has not acknowledged.

    Raises:
        AwsError: `InsufficientCapabilitiesException`.
    """
    needed = needed_capabilities(template)
    enough = {*given, "CAPABILITY_IAM"} if "CAPABILITY_NAMED_IAM" in given else set(given)
    if set(needed) - enough:
        sentence = f"Requires capabilities : [{', '.join(needed)}]"
        raise AwsError("InsufficientCapabilitiesException", sentence)


def _check_types(template: Template, region: str) -> None:
    kinds = sorted({item.type for item in template.resources.values()})
    unknown = [kind for kind in kinds if not _in_registry(kind, region)]
    if unknown:
        raise invalid(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    beyond = [kind for kind in kinds if kind not in HANDLERS]
    if beyond:
        raise NotEmulatedError(f"the resource types {', '.join(beyond)}")


def _in_registry(kind: str, region: str) -> bool:
    return kind.startswith("AWS::") and resource_schema(region, kind) is not None


def _check_attributes(template: Template, region: str) -> None:
    for name, attribute in sorted(set(_attributes(template))):
        if not schema_of(region, template.resources[name].type).has_attribute(attribute):
            raise invalid(
                f"Template error: resource {name} does not support attribute type {attribute} "
                "in Fn::GetAtt"
            )


def _attributes(template: Template) -> Iterable[tuple[str, str]]:
    values: list[Any] = [item.properties for item in template.resources.values()]
    values += [[item.value, item.export_name or ""] for item in template.outputs.values()]
    for item in references(values):
        if item.attribute:
            yield item.name, item.attribute


def _check_emulated(template: Template) -> None:
    """What a handler can't do is refused before anything is made, not when its turn comes."""
    for declaration in template.resources.values():
        beyond = sorted(HANDLERS[declaration.type].not_emulated & set(declaration.properties))
        if beyond:
            raise NotEmulatedError(f"the property {beyond[0]} of {declaration.type}")
