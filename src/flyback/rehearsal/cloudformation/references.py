"""Which names a template's values refer to, found without resolving anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.cloudformation.refusals import invalid

__all__ = ["PSEUDO", "SUB_VARIABLE", "Reference", "references", "split_attribute"]

PSEUDO = frozenset(
    {
        "AWS::AccountId",
        "AWS::NoValue",
        "AWS::NotificationARNs",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)
SUB_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
"""`${Name}` in Fn::Sub, but not the literal `${!Name}`."""


@dataclass(frozen=True, order=True)
class Reference:
    """A use of a parameter, a pseudo parameter or a resource; with an attribute, of that."""

    name: str
    attribute: str = ""


def references(value: Any) -> Iterator[Reference]:
    """Every Ref, Fn::GetAtt and Fn::Sub variable in a value, in order."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                yield Reference(_name(argument))
                return
            if function == "Fn::GetAtt":
                yield Reference(*split_attribute(argument))
                return
            if function == "Fn::Sub":
                yield from _substituted(argument)
                return
        for item in value.values():
            yield from references(item)


def split_attribute(argument: Any) -> tuple[str, str]:
    """Resource and attribute of an Fn::GetAtt.

    Raises:
        AwsError: it has another shape.
    """
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not isinstance(parts, list) or len(parts) < 2 or not all(_is_text(item) for item in parts):  # noqa: PLR2004  # a pair
        raise invalid(
            "Template error: every Fn::GetAtt object requires two non-empty parameters, "
            "the resource name and the resource attribute"
        )
    return parts[0], ".".join(parts[1:])


def _substituted(argument: Any) -> Iterator[Reference]:
    own: dict[str, Any] = {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):  # noqa: PLR2004  # a pair
        argument, own = argument
    if not isinstance(argument, str):
        raise invalid(
            "Template error: One or more Fn::Sub intrinsic functions don't specify expected "
            "arguments. Specify a string as first argument, and an optional second argument to "
            "specify a mapping of values to replace in the string"
        )
    for name in SUB_VARIABLE.findall(argument):
        plain = name.strip()
        if plain in own:
            continue
        yield Reference(*split_attribute(plain)) if "." in plain else Reference(plain)
    for item in own.values():
        yield from references(item)


def _name(argument: Any) -> str:
    if not _is_text(argument):
        raise invalid(
            "Template format error: Every value for Ref must be a non-empty string naming a "
            "resource or a parameter"
        )
    return str(argument)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
