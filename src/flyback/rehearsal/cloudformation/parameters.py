"""Parameters: what the caller gives, checked against what the template declares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid

__all__ = ["ParameterValue", "check_declarations", "described", "resolve_parameters"]

_KEYS = frozenset(
    {
        "AllowedPattern",
        "AllowedValues",
        "ConstraintDescription",
        "Default",
        "Description",
        "MaxLength",
        "MaxValue",
        "MinLength",
        "MinValue",
        "NoEcho",
        "Type",
    }
)
_PLAIN = frozenset({"CommaDelimitedList", "List<Number>", "Number", "String"})
_STORED = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
_LISTED = re.compile(r"List<(.+)>")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
_CHECKED = frozenset(
    {
        "AWS::EC2::AvailabilityZone::Name",
        "AWS::EC2::Image::Id",
        "AWS::EC2::KeyPair::KeyName",
        "AWS::EC2::SecurityGroup::Id",
        "AWS::EC2::Subnet::Id",
        "AWS::EC2::VPC::Id",
    }
)
"""AWS-specific types; `exists` looks their values up in the account."""


@dataclass(frozen=True, kw_only=True)
class ParameterValue:
    """A parameter of a stack.

    Args:
        key: Its name.
        given: As supplied, or the default.
        value: What `Ref` gives: text, or a list of text.
        stored: The SSM parameter's value, where the type asks for one.
        hidden: Declared NoEcho.
    """

    key: str
    given: str
    value: str | tuple[str, ...]
    stored: str | None = None
    hidden: bool = False


class _Account:
    """What parameter values are looked up in.

    Args:
        ssm: Value of an SSM parameter.
        exists: Whether an AWS-specific type's value exists: type, value.
    """

    def __init__(self, ssm: Callable[[str], str], exists: Callable[[str, str], bool]) -> None:
        self.ssm = ssm
        self.exists = exists


def check_declarations(declared: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parameters that are not declared as they must be.

    Raises:
        AwsError: in AWS's words.
    """
    for key, declaration in declared.items():
        if "Type" not in declaration:
            raise invalid(
                "Template format error: Every Parameters object must contain a Type member."
            )
        unknown = sorted(set(declaration) - _KEYS)
        if unknown:
            raise invalid(f"Invalid template parameter property '{unknown[0]}'")
        kind = declaration["Type"]
        stored = _STORED.fullmatch(kind)
        inner = stored.group(1) if stored else kind
        listed = _LISTED.fullmatch(inner)
        element = listed.group(1) if listed else inner
        if inner not in _PLAIN and element not in _CHECKED and not (stored and element == "String"):
            raise invalid(f"Template format error: Unrecognized parameter type: {kind} ({key})")


def resolve_parameters(
    declared: Mapping[str, Mapping[str, Any]],
    supplied: Iterable[Mapping[str, Any]],
    previous: Mapping[str, ParameterValue],
    *,
    ssm: Callable[[str], str],
    exists: Callable[[str, str], bool],
) -> dict[str, ParameterValue]:
    """Values for every declared parameter.

    Args:
        declared: The template's Parameters.
        supplied: The request's, botocore-shaped.
        previous: The stack's values before, for UsePreviousValue.
        ssm: Value of an SSM parameter.
        exists: Whether a value of an AWS-specific type exists in the account: type, value.

    Raises:
        AwsError: one is missing, unknown or breaks a constraint.
    """
    given = _given(declared, supplied, previous)
    missing = sorted(set(declared) - set(given))
    if missing:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    account = _Account(ssm, exists)
    return {key: _value(key, declared[key], given[key], account) for key in declared}


def described(values: Mapping[str, ParameterValue]) -> list[dict[str, str]]:
    """Parameters as DescribeStacks shows them."""
    found = []
    for item in values.values():
        one = {"ParameterKey": item.key, "ParameterValue": "****" if item.hidden else item.given}
        if item.stored is not None:
            one["ResolvedValue"] = item.stored
        found.append(one)
    return found


def _given(
    declared: Mapping[str, Mapping[str, Any]],
    supplied: Iterable[Mapping[str, Any]],
    previous: Mapping[str, ParameterValue],
) -> dict[str, str]:
    given = {key: _scalar(item["Default"]) for key, item in declared.items() if "Default" in item}
    unknown = []
    for item in supplied:
        key = item["ParameterKey"]
        if item.get("ResolvedValue"):
            raise NotEmulatedError("ResolvedValue of a parameter in a request")
        if key not in declared:
            unknown.append(key)
        elif item.get("UsePreviousValue"):
            if key not in previous:
                raise invalid(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as "
                    "true for a parameter key not in the previous template"
                )
            given[key] = previous[key].given
        elif "ParameterValue" in item:
            given[key] = str(item["ParameterValue"])
    if unknown:
        raise invalid(f"Parameters: [{', '.join(sorted(unknown))}] do not exist in the template")
    return given


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _value(
    key: str, declaration: Mapping[str, Any], given: str, account: _Account
) -> ParameterValue:
    kind = declaration["Type"]
    hidden = _scalar(declaration.get("NoEcho", False)).lower() == "true"
    stored_type = _STORED.fullmatch(kind)
    stored = None
    text = given
    if stored_type:
        kind = stored_type.group(1)
        stored = text = account.ssm(given)
    listed = _LISTED.fullmatch(kind)
    many = kind == "CommaDelimitedList" or bool(listed)
    element = listed.group(1) if listed else kind
    parts = tuple(item.strip() for item in text.split(",")) if many else (text,)
    for part in parts:
        _check(key, declaration, part, "Number" if element == "Number" else "String")
        if element in _CHECKED and not account.exists(element, part):
            raise invalid(
                f"Parameter validation failed: parameter value {part} for parameter name {key} "
                "does not exist"
            )
    value: str | tuple[str, ...] = parts if many else text
    return ParameterValue(key=key, given=given, value=value, stored=stored, hidden=hidden)


def _check(key: str, declaration: Mapping[str, Any], text: str, kind: str) -> None:
    fault = _length_fault(declaration, text)
    if kind == "Number":
        fault = fault or _number_fault(declaration, text)
    allowed = [_scalar(item) for item in declaration.get("AllowedValues", [])]
    if allowed and text not in allowed:
        fault = fault or "must be one of AllowedValues"
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, text):
        fault = fault or f"must match pattern {pattern}"
    if not fault:
        return
    if "ConstraintDescription" in declaration:
        described_as = declaration["ConstraintDescription"]
        raise invalid(f"Parameter {key} failed to satisfy constraint: {described_as}")
    raise invalid(f"Parameter '{key}' {fault}")


def _length_fault(declaration: Mapping[str, Any], text: str) -> str:
    if len(text) < int(declaration.get("MinLength", 0)):
        return f"must contain at least {declaration['MinLength']} characters"
    if "MaxLength" in declaration and len(text) > int(declaration["MaxLength"]):
        return f"must contain at most {declaration['MaxLength']} characters"
    return ""


def _number_fault(declaration: Mapping[str, Any], text: str) -> str:
    if not _NUMBER.fullmatch(text):
        return "must be a number"
    if "MinValue" in declaration and float(text) < float(declaration["MinValue"]):
        return f"must be a number not less than {declaration['MinValue']}"
    if "MaxValue" in declaration and float(text) > float(declaration["MaxValue"]):
        return f"must be a number not greater than {declaration['MaxValue']}"
    return ""
