"""A policy as it was read: nouns only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from flyback.audit.iam.patterns import variables_in

__all__ = ["Condition", "Kind", "Policy", "Statement"]

Kind = Literal["identity", "resource", "trust"]
"""What a policy is attached to: an identity (a boundary and a session policy are written like one),
a resource, or a role that it lets principals assume."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One key of a Condition block, under one operator.

    Args:
        operator: Its plain name, as AWS spells it (`StringLike`).
        qualifier: `ForAllValues`, `ForAnyValue` or empty.
        if_exists: Whether a missing key makes it true.
        key: In lower case.
        values: As the policy has them, variables and wildcards included.
    """

    operator: str
    qualifier: str = ""
    if_exists: bool = False
    key: str
    values: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """Its key, and those of the variables in its values, in lower case."""
        return frozenset((self.key, *variables_in(self.values)))


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement; what it lacks is None.

    Args:
        policy: Name of its policy.
        index: Its place there, from 0.
        sid: Its id; may be empty.
        effect: `Allow` or `Deny`.
        variables: Whether its policy's version knows policy variables.
        actions: Patterns in lower case.
        not_actions: The same.
        resources: Patterns.
        not_resources: The same.
        principals: Type (`AWS`, `Service`, …) → names; `*` is `{"AWS": ("*",)}`.
        not_principals: The same.
        conditions: All must hold.
    """

    policy: str
    index: int
    sid: str = ""
    effect: Literal["Allow", "Deny"]
    variables: bool = False
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    principals: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    not_principals: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    conditions: tuple[Condition, ...] = ()

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every condition key that it asks for, in lower case."""
        variables = variables_in((*(self.resources or ()), *(self.not_resources or ())))
        return frozenset(variables).union(*(item.keys for item in self.conditions))

    def __str__(self) -> str:
        return f"{self.policy}: Statement[{self.index}]" + (f" ({self.sid})" if self.sid else "")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy, read and found well-formed."""

    name: str
    kind: Kind
    statements: tuple[Statement, ...]

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every condition key that it asks for, in lower case."""
        return frozenset[str]().union(*(statement.keys for statement in self.statements))
