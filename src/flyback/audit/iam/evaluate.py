"""The decision: an explicit deny, else an allow, else no.

Source: IAM user guide, "Policy evaluation logic" (within one account), "Cross-account policy
evaluation logic" and "How IAM roles differ from resource-based policies". Service control policies
are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from flyback.audit.iam.document import Policy, Statement
from flyback.audit.iam.operators import holds, single
from flyback.audit.iam.patterns import UnresolvedError, arn_matches, expand, like
from flyback.audit.iam.principal import Principal, Reach, reach_of

__all__ = ["Decision", "Layer", "Policies", "Reason", "Request", "evaluate"]

Layer = Literal["identity", "resource", "boundary", "session"]
Reason = Literal["allowed", "explicit deny", "implicit deny"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked.

    Args:
        principal: Who asks.
        action: As IAM names it (`s3:GetObject`); case does not matter.
        resource: ARN, or `*` for an action that takes none.
        context: Condition key → value, or values of a multivalued key; the keys that follow from
            the principal are added.
    """

    principal: Principal
    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def keys(self) -> dict[str, tuple[str, ...]]:
        """Every condition key, in lower case, with its values."""
        return {
            key.lower(): (value,) if isinstance(value, str) else tuple(value)
            for key, value in {**self.principal.context(), **self.context}.items()
        }


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The policies that concern a request.

    Args:
        identity: Of the user with its groups, or of the role.
        resource: Of the resource.
        boundary: The permissions boundary; None where there is none.
        session: The session policies; None where there are none.
        needs: Whose allow is needed: `either` the identity's or the resource's (one account), the
            `resource`'s (a role's trust, a key), or `both` (another account's resource).
    """

    identity: tuple[Policy, ...] = ()
    resource: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] | None = None
    session: tuple[Policy, ...] | None = None
    needs: Literal["either", "resource", "both"] = "either"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided.

    Args:
        allowed: Whether the request may go on.
        reason: Why.
        layer: Of the statement that decided; where none did, the layer that lacks an allow.
        statement: Which decided; None for an implicit deny, and for a root user.
    """

    allowed: bool
    reason: Reason
    layer: Layer
    statement: Statement | None = None


@dataclass(frozen=True)
class _Found:
    statement: Statement
    reach: Reach


def evaluate(request: Request, policies: Policies) -> Decision:
    """Decide one action on one resource."""
    keys = request.keys()
    found: dict[Layer, list[_Found]] = {}
    for layer, group in _layers(policies):
        found[layer] = list(_applying(group, request, keys))
        for item in found[layer]:
            if item.statement.effect == "Deny":
                return Decision(
                    allowed=False, reason="explicit deny", layer=layer, statement=item.statement
                )
    return _allow(request, policies, found)


def _layers(policies: Policies) -> Iterator[tuple[Layer, Iterable[Policy]]]:
    yield "identity", policies.identity
    yield "resource", policies.resource
    if policies.boundary is not None:
        yield "boundary", policies.boundary
    if policies.session is not None:
        yield "session", policies.session


def _allow(request: Request, policies: Policies, found: Mapping[Layer, list[_Found]]) -> Decision:
    granted = _closest(found["resource"])
    reach: Reach = granted.reach if granted else ""
    if policies.needs == "either" and request.principal.kind == "root":
        return Decision(allowed=True, reason="allowed", layer="identity")
    if granted and policies.needs != "both" and reach == "direct":
        return _allowed("resource", granted)
    if policies.needs != "either" and granted is None:
        return _nothing("resource")
    limits = _limits(found)
    if granted and policies.needs != "both" and reach == "role":
        return limits or _allowed("resource", granted)
    if not found["identity"] and not (request.principal.kind == "root" and granted):
        return _nothing("identity" if request.principal.account else "resource")
    return limits or _allowed("identity", next(iter(found["identity"]), granted))


def _limits(found: Mapping[Layer, list[_Found]]) -> Decision | None:
    """The boundary or session policy that does not allow it, if one is there."""
    limits: tuple[Layer, ...] = ("boundary", "session")
    for layer in limits:
        if layer in found and not found[layer]:
            return _nothing(layer)
    return None


def _closest(found: list[_Found]) -> _Found | None:
    order = ("account", "role", "direct")
    return max(found, key=lambda item: order.index(item.reach), default=None)


def _allowed(layer: Layer, found: _Found | None) -> Decision:
    statement = found.statement if found else None
    return Decision(allowed=True, reason="allowed", layer=layer, statement=statement)


def _nothing(layer: Layer) -> Decision:
    return Decision(allowed=False, reason="implicit deny", layer=layer)


def _applying(
    policies: Iterable[Policy], request: Request, keys: Mapping[str, tuple[str, ...]]
) -> Iterator[_Found]:
    for policy in policies:
        for statement in policy.statements:
            try:
                reach = _applies(statement, request, keys)
            except UnresolvedError:  # a variable without a value makes the statement void
                continue
            if reach:
                yield _Found(statement, reach)


def _applies(statement: Statement, request: Request, keys: Mapping[str, tuple[str, ...]]) -> Reach:
    if not _action_matches(statement, request.action.lower()):
        return ""
    reach = _principal_reach(statement, request.principal)
    if not reach or not _resource_matches(statement, request.resource, keys):
        return ""
    for condition in statement.conditions:
        if not holds(condition, keys, variables=statement.variables):
            return ""
    return reach


def _action_matches(statement: Statement, action: str) -> bool:
    if statement.actions is not None:
        return any(like(pattern, action) for pattern in statement.actions)
    return not any(like(pattern, action) for pattern in statement.not_actions or ())


def _resource_matches(
    statement: Statement, resource: str, keys: Mapping[str, tuple[str, ...]]
) -> bool:
    patterns = statement.resources if statement.resources is not None else statement.not_resources
    if patterns is None:  # a trust policy has none: it is about its role
        return True
    if statement.variables:
        patterns = tuple(expand(text, lambda key: single(keys, key)) for text in patterns)
    named = any(arn_matches(pattern, resource) for pattern in patterns)
    return named == (statement.resources is not None)


def _principal_reach(statement: Statement, principal: Principal) -> Reach:
    if statement.principals is not None:
        return reach_of(statement.principals, principal)
    if statement.not_principals is None:
        return "direct"  # an identity's own policy
    listed = set().union(*map(set, statement.not_principals.values()))
    listed |= {f"arn:aws:iam::{name}:root" for name in listed if name.isdigit()}
    names = principal.names()
    left_out = [name in listed or "*" in listed for name in names]
    if statement.effect == "Deny":
        return "" if left_out and all(left_out) else "direct"
    return "" if any(left_out) else "direct"
