"""What a role's trust, or a resource's policy, must not say.

Sources: IAM user guide, "Create a role for OpenID Connect federation" (the keys that must be
tested) and "The confused deputy problem".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["too_trusting"]

_EXACT = ("StringEquals", "ArnEquals", "ArnLike", "Bool", "NumericEquals")
# They compare alike (condition operators reference).
_OF_ARNS = ("ArnEquals", "ArnLike")
_WILD = ("*", "?")


def too_trusting(statement: Mapping[str, Any]) -> Iterator[str]:
    """Whatever lets in more than is named.

    Args:
        statement: Of such a policy, with lists wherever there may be one.
    """
    if statement["Effect"] != "Allow":
        return
    principals: Mapping[str, list[str]] = statement.get("Principal", {})
    if "NotPrincipal" in statement or any("*" in names for names in principals.values()):
        yield "anybody is let in"
    for action in statement.get("Action", ["*"]):
        if any(mark in action for mark in _WILD):
            yield f"{action} is more than one action"
    conditions: Mapping[str, Mapping[str, list[str]]] = statement.get("Condition", {})
    for operator, keys in conditions.items():
        for key, values in keys.items():
            yield from _inexact(operator, key, values)
    for provider in principals.get("Federated", ()):
        issuer = provider.partition(":oidc-provider/")[2]
        exact = {key for operator in _EXACT for key in conditions.get(operator, {})}
        for key in ("aud", "sub"):
            if issuer and f"{issuer}:{key}" not in exact:
                yield f"{provider}: whatever {key} a token has, it is taken"


def _inexact(operator: str, key: str, values: list[str]) -> Iterator[str]:
    """A condition that more than its values meet."""
    if operator not in _EXACT:
        yield f"{operator}: {key} is met by more than one value, or by none"
    elif operator in _OF_ARNS and any(mark in text for text in values for mark in _WILD):
        yield f"{operator}: {key} is met by more than one ARN"
