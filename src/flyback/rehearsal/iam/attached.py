"""The policies that concern a request, from moto's state."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from flyback.audit.iam import Attached, Policies, Policy, Principal, parse_policy
from flyback.audit.iam.asked import TRUST_ACTIONS
from flyback.audit.iam.document import Kind
from flyback.audit.iam.needs import as_tags
from flyback.rehearsal.moto_state import backend

__all__ = ["Others", "attached", "described", "managed_policy", "policies_for", "role_by_arn"]

Others = Mapping[str, Callable[[str], Mapping[str, Any] | None]]


def described(principal: str, session: Any) -> Principal:
    """A principal with its role, tags and unique id.

    Args:
        principal: ARN, or the name of a service.
        session: moto's AssumedRole where it is one's session; else None.
    """
    if session is not None:
        role = role_by_arn(session.role_arn)
        tags = as_tags(role.tags) if role is not None else {}
        return Principal.from_arn(
            principal, role=str(session.role_arn), tags=tags, user_id=str(session.user_id)
        )
    user = _user(principal)
    if user is None:
        return Principal.from_arn(principal)
    tags = backend("iam", "global").tagger.get_tag_dict_for_resource(user.arn)
    return Principal.from_arn(principal, tags=tags, user_id=str(user.id))


def policies_for(
    principal: Principal, session: Any, action: str, resource: str, others: Others
) -> Policies:
    """Every policy that concerns a question.

    Args:
        principal: Who asks.
        session: moto's AssumedRole where it is one's session; else None.
        action: As IAM names it.
        resource: ARN, or `*`.
        others: Service → ARN → policy of a resource that is not among moto's.

    Raises:
        PolicyError: a policy of the account is malformed.
    """
    trusting = action.lower() in TRUST_ACTIONS
    identity, boundary = _of_identity(principal)
    session_policy = getattr(session, "policy", None)
    return Policies(
        identity=identity,
        resource=_of_resource(action, resource, others),
        boundary=boundary,
        session=(_parsed(session_policy, "session policy"),) if session_policy else None,
        needs="resource" if trusting else "either",
    )


def managed_policy(arn: str) -> Policy | None:
    """A managed policy as it is by default; None where there is none."""
    found = backend("iam", "global").managed_policies.get(arn)
    return _parsed(_managed(found), arn) if found else None


def role_by_arn(arn: str) -> Any:
    """Moto's role; None where there is none."""
    roles = backend("iam", "global").roles.values()
    return next((role for role in roles if role.arn == arn), None)


def attached(kept: Mapping[str, Mapping[str, Any]]) -> tuple[Attached, ...]:
    """Every policy of the account, service-linked roles left out: they are AWS's own.

    Args:
        kept: ARN → policy of resources that are not among moto's.
    """
    iam = backend("iam", "global")
    roles = [role for role in iam.roles.values() if not role.path.startswith("/aws-service-role/")]
    found = [
        Attached(kind="identity", holder=holder.arn, name=name, document=_json(text))
        for holder in (*roles, *iam.users.values())
        for name, text in _documents(holder)
    ]
    found += [
        Attached(
            kind="trust",
            holder=role.arn,
            name="trust",
            document=_json(role.assume_role_policy_document),
        )
        for role in roles
    ]
    found += [
        Attached(
            kind="resource",
            holder=f"arn:aws:s3:::{bucket.name}",
            name="bucket policy",
            document=_json(bucket.policy.decode()),
        )
        for bucket in backend("s3", "global").buckets.values()
        if bucket.policy
    ]
    found += [
        Attached(kind="resource", holder=arn, name="resource policy", document=document)
        for arn, document in kept.items()
    ]
    return tuple(found)


def _of_identity(
    principal: Principal,
) -> tuple[tuple[Policy, ...], tuple[Policy, ...] | None]:
    holder = role_by_arn(principal.role) if principal.role else _user(principal.arn)
    if holder is None:
        return (), None
    documents = dict(_documents(holder))
    if not principal.role:
        for group in backend("iam", "global").get_groups_for_user(holder.name):
            documents.update(_documents(group))
    identity = tuple(_parsed(text, name) for name, text in documents.items())
    boundary = getattr(holder, "permissions_boundary_arn", None)
    if not boundary:
        return identity, None
    found = managed_policy(boundary)
    return identity, (found,) if found else ()


def _documents(holder: Any) -> Iterator[tuple[str, str]]:
    for name, text in holder.policies.items():
        yield f"{holder.name}/{name}", text
    for policy in holder.managed_policies.values():
        yield policy.name, _managed(policy)


def _managed(policy: Any) -> str:
    return str(next(item.document for item in policy.versions if item.is_default))


def _of_resource(action: str, resource: str, others: Others) -> tuple[Policy, ...]:
    """The policy of a resource; services whose resources have none here give none."""
    service = resource.split(":")[2] if resource.startswith("arn:") else ""
    if service == "iam" and action.lower() in TRUST_ACTIONS:
        role = role_by_arn(resource)
        text = role.assume_role_policy_document if role is not None else None
        return (_parsed(text, resource, "trust"),) if text else ()
    if service == "s3":
        bucket = backend("s3", "global").buckets.get(resource.split(":")[5].partition("/")[0])
        text = bucket.policy if bucket is not None else None
        return (_parsed(text.decode(), f"{bucket.name}'s policy", "resource"),) if text else ()
    held = others[service](resource) if service in others else None
    return (_parsed(held, resource, "resource"),) if held else ()


def _user(arn: str) -> Any:
    users = backend("iam", "global").users.values()
    return next((user for user in users if user.arn == arn), None)


def _parsed(text: Any, name: str, kind: Kind = "identity") -> Policy:
    return _read(text if isinstance(text, str) else json.dumps(text), name, kind)


@functools.lru_cache(maxsize=256)
def _read(text: str, name: str, kind: Kind) -> Policy:
    return parse_policy(_json(text), name, kind)


def _json(text: Any) -> Mapping[str, Any]:
    if not isinstance(text, str):
        return dict(text)
    found: dict[str, Any] = json.loads(unquote(text) if text.startswith("%7B") else text)
    return found
