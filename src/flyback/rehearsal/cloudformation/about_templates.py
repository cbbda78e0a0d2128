"""ValidateTemplate, GetTemplateSummary and GetTemplate."""

from __future__ import annotations

import json
from typing import Any

from flyback.rehearsal.call import Call
from flyback.rehearsal.cloudformation.checks import capabilities_reason, needed_capabilities
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.request import requested_template
from flyback.rehearsal.cloudformation.schema import resource_schema
from flyback.rehearsal.cloudformation.template import Template

__all__ = ["answer_template", "get_template", "get_template_summary", "validate_template"]

_NO_STACK = "Stack with id {} does not exist"


def validate_template(engine: Engine, call: Call) -> dict[str, Any]:
    """ValidateTemplate."""
    template = requested_template(engine, call)
    parameters = [
        {
            key: value
            for key, value in _parameter(name, declaration).items()
            if key in ("DefaultValue", "Description", "NoEcho", "ParameterKey")
        }
        for name, declaration in template.parameters.items()
    ]
    return {"Parameters": parameters, "DeclaredTransforms": [], **_about(template)}


def get_template_summary(engine: Engine, call: Call) -> dict[str, Any]:
    """GetTemplateSummary, of a template or of a stack's."""
    name = call.params.get("StackName")
    if name:
        stack = engine.stacks.get(call.account, call.region, str(name), _NO_STACK)
        if stack.target is None:
            raise invalid(f"Template for stack {stack.name} is not available")
        template = stack.target.template
    else:
        template = requested_template(engine, call)
    kinds = [item.type for item in template.resources.values()]
    found: dict[str, Any] = {
        "Parameters": [_parameter(key, item) for key, item in template.parameters.items()],
        "ResourceTypes": list(dict.fromkeys(kinds)),
        "Version": "2010-09-09",
        "DeclaredTransforms": [],
        "ResourceIdentifierSummaries": _identifiers(template, call.region),
        **_about(template),
    }
    if template.metadata is not None:
        found["Metadata"] = json.dumps(template.metadata)
    return found


def get_template(engine: Engine, call: Call) -> dict[str, Any]:
    """GetTemplate, as it was sent; change sets are the change sets' own."""
    stack = engine.stacks.get(call.account, call.region, str(call.params["StackName"]), _NO_STACK)
    if stack.target is None:
        raise invalid(f"Template for stack {stack.name} is not available")
    return answer_template(stack.target.template.body)


def answer_template(body: str) -> dict[str, Any]:
    """A template as GetTemplate answers it; both stages are one, for no macro changes it."""
    return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}


def _about(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if template.description:
        found["Description"] = template.description
    capabilities = needed_capabilities(template)
    if capabilities:
        found["Capabilities"] = capabilities
        found["CapabilitiesReason"] = capabilities_reason(template)
    return found


def _parameter(name: str, declaration: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ParameterKey": name,
        "ParameterType": declaration["Type"],
        "NoEcho": str(declaration.get("NoEcho", False)).lower() == "true",
    }
    if "Default" in declaration:
        found["DefaultValue"] = _text(declaration["Default"])
    if "Description" in declaration:
        found["Description"] = str(declaration["Description"])
    if "AllowedValues" in declaration:
        allowed = [_text(item) for item in declaration["AllowedValues"]]
        found["ParameterConstraints"] = {"AllowedValues": allowed}
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _identifiers(template: Template, region: str) -> list[dict[str, Any]]:
    by_type: dict[str, list[str]] = {}
    for item in template.resources.values():
        by_type.setdefault(item.type, []).append(item.logical_id)
    found = []
    for kind, names in by_type.items():
        schema = resource_schema(region, kind)
        if schema is not None:
            found.append(
                {
                    "ResourceType": kind,
                    "LogicalResourceIds": names,
                    "ResourceIdentifiers": list(schema.identifier),
                }
            )
    return found
