"""Requests that a rehearsal can't decide: a policy asks for a condition key that it does not set.

A key that is missing is a statement about a request: `Null`, `…IfExists` and negated operators take
it so. Where it is missing only because nobody here knows it, both answers are tried; where they
differ, there is none.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, replace
from importlib import resources

from flyback.audit.iam.document import Policy, Statement
from flyback.audit.iam.evaluate import Policies, Request, evaluate
from flyback.audit.iam.patterns import like, without_variables

__all__ = ["Unset", "undecided", "unset"]

_EC2_FIELDS = 6


@dataclass(frozen=True, kw_only=True)
class Unset:
    """Keys that may not be set.

    Args:
        action: Pattern of the action, in lower case.
        type: Of EC2's resource; empty for any.
        keys: Patterns, in lower case.
        source: Where AWS lists them.
    """

    action: str
    type: str
    keys: tuple[str, ...]
    source: str


@functools.cache
def unset() -> tuple[Unset, ...]:
    """The table."""
    text = resources.files(__package__).joinpath("data/unset.csv").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Unset(
            action=item["action"].lower(),
            type=item["type"],
            keys=tuple(item["keys"].lower().split()),
            source=item["source"],
        )
        for item in csv.DictReader(lines)
    )


def undecided(request: Request, policies: Policies) -> str:
    """The condition key for want of which a request can't be decided; empty where it can be.

    Args:
        request: What is asked.
        policies: All that concern it.
    """
    layers = (policies.identity, policies.resource, policies.boundary or (), policies.session or ())
    asked = frozenset[str]().union(*(policy.keys for layer in layers for policy in layer))
    missing = asked - request.keys().keys()
    action, kind = request.action.lower(), _type_of(request.resource)
    unknown = {key for key in missing if _is_unset(action, kind, key)}
    if not unknown:
        return ""
    for keys in (*({key} for key in sorted(unknown)), unknown):  # one is named, if one is enough
        best, worst = (_supposed(policies, keys, effect) for effect in ("Allow", "Deny"))
        if evaluate(request, best).allowed != evaluate(request, worst).allowed:
            return min(keys)
    return ""


@functools.lru_cache(maxsize=4096)
def _is_unset(action: str, kind: str, key: str) -> bool:
    return any(
        like(row.action, action)
        and row.type in ("", kind)
        and any(like(pattern, key) for pattern in row.keys)
        for row in unset()
    )


def _type_of(resource: str) -> str:
    fields = resource.split(":", _EC2_FIELDS - 1)
    ours = len(fields) == _EC2_FIELDS and fields[2] == "ec2"
    return fields[5].partition("/")[0] if ours else ""


def _supposed(policies: Policies, unknown: set[str], applying: str) -> Policies:
    """The policies, if of the undecided statements those of one effect apply and no others."""

    def each(group: tuple[Policy, ...]) -> tuple[Policy, ...]:
        return tuple(_policy(policy, unknown, applying) for policy in group)

    return replace(
        policies,
        identity=each(policies.identity),
        resource=each(policies.resource),
        boundary=None if policies.boundary is None else each(policies.boundary),
        session=None if policies.session is None else each(policies.session),
    )


def _policy(policy: Policy, unknown: set[str], applying: str) -> Policy:
    if not policy.keys & unknown:
        return policy
    found = [
        _applied(statement, unknown) if statement.keys & unknown else statement
        for statement in policy.statements
        if not statement.keys & unknown or statement.effect == applying
    ]
    return replace(policy, statements=tuple(found))


def _applied(statement: Statement, unknown: set[str]) -> Statement:
    """A statement that applies, whatever the unknown keys are."""
    named = statement.resources
    if named is not None:
        named = tuple(without_variables(text, unknown) for text in named)
    conditions = tuple(item for item in statement.conditions if not item.keys & unknown)
    return replace(statement, resources=named, conditions=conditions)
