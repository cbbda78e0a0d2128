"""Requests that a rehearsal can't decide: a policy asks for a condition key that it does not set.

A key that is missing is a statement about a request: `Null`, `…IfExists` and negated operators take
it so. Where it is missing only because nobody here knows it, both answers are tried; where they
differ, there is none.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from flyback.audit.iam.document import Policy, Statement
from flyback.audit.iam.evaluate import Policies, Request, evaluate
from flyback.audit.iam.patterns import like, variables_in, without_variables
from flyback.audit.iam.tables import table

__all__ = ["Unset", "undecided", "unset"]

_EC2_FIELDS = 6


@dataclass(frozen=True, kw_only=True)
class Unset:
    """Keys that may not be set.

    Args:
        action: Pattern of the action, in lower case.
        type: Of EC2's resource; empty for any.
        keys: Patterns, as AWS spells them.
        source: Where AWS lists them.
    """

    action: str
    type: str
    keys: tuple[str, ...]
    source: str


@functools.cache
def unset() -> tuple[Unset, ...]:
    """The table."""
    return tuple(
        Unset(
            action=item["action"].lower(),
            type=item["type"],
            keys=tuple(item["keys"].split()),
            source=item["source"],
        )
        for item in table("unset")
    )


def undecided(request: Request, policies: Policies) -> str:
    """The condition key for want of which a request can't be decided, as AWS spells it, or empty.

    Args:
        request: What is asked.
        policies: All that concern it.
    """
    layers = (policies.identity, policies.resource, policies.boundary or (), policies.session or ())
    asked = frozenset[str]().union(*(policy.keys for layer in layers for policy in layer))
    missing = asked - request.keys().keys()
    action, kind = request.action.lower(), _type_of(request.resource)
    spelled = {key: text for key in missing if (text := _unset_as(action, kind, key))}
    if not spelled:
        return ""
    for keys in (*({key} for key in sorted(spelled)), set(spelled)):  # one is named, if it does
        best, worst = (_supposed(policies, keys, effect) for effect in ("Allow", "Deny"))
        if evaluate(request, best).allowed != evaluate(request, worst).allowed:
            return spelled[min(keys)]
    return ""


@functools.lru_cache(maxsize=4096)
def _unset_as(action: str, kind: str, key: str) -> str:
    """A key that may not be set, as AWS spells it; empty where it is set, or none is there."""
    for row in unset():
        if like(row.action, action) and row.type in ("", kind):
            for pattern in row.keys:
                if like(pattern.lower(), key):
                    fixed = pattern.removesuffix("*")
                    return fixed + key[len(fixed) :]
    return ""


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
    named, others = statement.resources, statement.not_resources
    if named is not None:
        named = tuple(without_variables(text, unknown) for text in named)
    if others is not None:  # what can't be told is not left out
        others = tuple(text for text in others if not variables_in([text]) & unknown)
    conditions = tuple(item for item in statement.conditions if not item.keys & unknown)
    return replace(statement, resources=named, not_resources=others, conditions=conditions)
