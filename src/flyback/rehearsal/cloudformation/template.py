"""A template: its sections, checked for shape. What its values mean is for the other modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyback.rehearsal.cloudformation.decode import decode
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid

__all__ = ["MAX_BODY_BYTES", "OutputDeclaration", "ResourceDeclaration", "Template", "parse"]

MAX_BODY_BYTES = 51_200
"""What CreateStack takes as TemplateBody (botocore's model)."""

_SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion",
        "Conditions",
        "Description",
        "Mappings",
        "Metadata",
        "Outputs",
        "Parameters",
        "Resources",
    }
)
_NOT_EMULATED_SECTIONS = frozenset({"Globals", "Hooks", "Rules", "Transform"})
_RESOURCE_KEYS = frozenset(
    {
        "Condition",
        "DeletionPolicy",
        "DependsOn",
        "Metadata",
        "Properties",
        "Type",
        "UpdateReplacePolicy",
    }
)
_NOT_EMULATED_RESOURCE_KEYS = frozenset({"CreationPolicy", "UpdatePolicy"})
_OUTPUT_KEYS = frozenset({"Condition", "Description", "Export", "Value"})
_POLICIES = {
    "DeletionPolicy": ("Delete", "Retain", "RetainExceptOnCreate"),
    "UpdateReplacePolicy": ("Delete", "Retain"),
}
_LIMITS = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")


@dataclass(frozen=True, kw_only=True)
class ResourceDeclaration:
    """One entry of Resources; intrinsic functions still unresolved."""

    logical_id: str
    type: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    condition: str = ""
    deletion_policy: str = "Delete"
    deletion_stated: bool = False
    update_replace_policy: str = "Delete"
    metadata: Any = None


@dataclass(frozen=True, kw_only=True)
class OutputDeclaration:
    """One entry of Outputs; intrinsic functions still unresolved."""

    key: str
    value: Any
    description: str = ""
    condition: str = ""
    export_name: Any = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template, parsed."""

    body: str
    description: str = ""
    metadata: Any = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, ResourceDeclaration] = field(default_factory=dict)
    outputs: Mapping[str, OutputDeclaration] = field(default_factory=dict)


def parse(body: str) -> Template:
    """Read a template.

    Raises:
        AwsError: `ValidationError` in AWS's words; `NotEmulated` for macros, rules and hooks.
    """
    document = decode(body)
    _check_sections(document)
    resources = _section(document, "Resources")
    if not resources:
        raise invalid("Template format error: At least one Resources member must be defined.")
    return Template(
        body=body,
        description=str(document.get("Description", "")),
        metadata=document.get("Metadata"),
        parameters=_section(document, "Parameters"),
        mappings=_section(document, "Mappings"),
        conditions=_section(document, "Conditions"),
        resources={key: _resource(key, value) for key, value in resources.items()},
        outputs={key: _output(key, value) for key, value in _section(document, "Outputs").items()},
    )


def _check_sections(document: Mapping[str, Any]) -> None:
    beyond = sorted(_NOT_EMULATED_SECTIONS & set(document))
    if beyond:
        raise NotEmulatedError(f"the template section {', '.join(beyond)}")
    unknown = sorted(set(document) - _SECTIONS)
    if unknown:
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    if document.get("AWSTemplateFormatVersion", "2010-09-09") != "2010-09-09":
        raise invalid("Template format error: unsupported value for AWSTemplateFormatVersion.")
    if not isinstance(document.get("Description", ""), str):
        raise invalid("Template format error: every Description member must be a string.")
    for name, most in _LIMITS.items():
        count = len(document.get(name, ()))
        if count > most:
            raise invalid(
                f"Template format error: Number of {name.lower()}, {count}, "
                f"is greater than maximum allowed, {most}"
            )


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise invalid(f"Template format error: Every {name} member must be an object.")
    if name in ("Resources", "Outputs", "Parameters"):
        kind = name.removesuffix("s")
        for key in found:
            if not _LOGICAL_ID.fullmatch(key):
                raise invalid(f"Template format error: {kind} name {key} is non alphanumeric.")
    return found


def _resource(logical_id: str, value: Mapping[str, Any]) -> ResourceDeclaration:
    beyond = sorted(_NOT_EMULATED_RESOURCE_KEYS & set(value))
    if beyond:
        raise NotEmulatedError(f"{', '.join(beyond)} of the resource {logical_id}")
    unknown = sorted(set(value) - _RESOURCE_KEYS)
    if unknown:
        raise invalid(f"Invalid template resource property '{unknown[0]}'")
    if not isinstance(value.get("Type"), str):
        raise invalid("Template format error: Every Resources object must contain a Type member.")
    if not isinstance(value.get("Properties", {}), dict):
        raise invalid("Template format error: [/Resources] every Properties member must be a map.")
    depends = value.get("DependsOn", [])
    return ResourceDeclaration(
        logical_id=logical_id,
        type=value["Type"],
        properties=value.get("Properties", {}),
        depends_on=tuple([depends] if isinstance(depends, str) else depends),
        condition=str(value.get("Condition", "")),
        deletion_policy=_policy(logical_id, value, "DeletionPolicy"),
        deletion_stated="DeletionPolicy" in value,
        update_replace_policy=_policy(logical_id, value, "UpdateReplacePolicy"),
        metadata=value.get("Metadata"),
    )


def _policy(logical_id: str, value: Mapping[str, Any], name: str) -> str:
    given = value.get(name, "Delete")
    if given == "Snapshot":
        raise invalid(
            f"Template error: resource type {value['Type']} does not support Snapshot "
            f"{'deletion' if name == 'DeletionPolicy' else 'update replace'} policy"
        )
    if given not in _POLICIES[name]:
        raise invalid(f"Template error: Invalid {name} for the resource {logical_id}: {given}")
    return str(given)


def _output(key: str, value: Mapping[str, Any]) -> OutputDeclaration:
    unknown = sorted(set(value) - _OUTPUT_KEYS)
    if unknown:
        raise invalid(f"Invalid template output property '{unknown[0]}'")
    if "Value" not in value:
        raise invalid("Template format error: Every Outputs member must contain a Value object")
    export = value.get("Export")
    if export is not None and (not isinstance(export, dict) or set(export) != {"Name"}):
        raise invalid(f"Template format error: Output {key} is malformed: Export takes a Name")
    return OutputDeclaration(
        key=key,
        value=value["Value"],
        description=str(value.get("Description", "")),
        condition=str(value.get("Condition", "")),
        export_name=None if export is None else export["Name"],
    )
