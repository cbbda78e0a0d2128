"""Questions to IAM, as a rehearsal recorded them, and the policies that they were answered by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flyback.audit.iam.document import Kind, Policy
from flyback.audit.iam.evaluate import Decision, Policies, Request, evaluate
from flyback.audit.iam.parse import parse_policy
from flyback.audit.iam.principal import Principal

__all__ = ["Asked", "Attached", "answer", "concerns", "keys_of"]

Context = Mapping[str, str | tuple[str, ...]]

TRUST_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithwebidentity",
    "sts:setsourceidentity",
    "sts:tagsession",
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question to IAM, answered.

    Args:
        number: Of the request in the journal.
        service: As botocore names it.
        operation: As the API names it.
        principal: ARN of who asked, or the name of a service.
        role: ARN of the role whose session asked; else empty.
        via: The service that called on their behalf, or empty.
        action: As IAM names it; empty where the table does not know the operation.
        resource: ARN, or `*`.
        context: Every condition key, those of the principal included.
        allowed: The answer.
        statement: Which statement decided, or empty.
        scenario: Name of what was rehearsed; may be empty.
    """

    number: int
    service: str
    operation: str
    principal: str
    role: str = ""
    via: str = ""
    action: str
    resource: str
    context: Context = field(default_factory=dict, hash=False)
    allowed: bool
    statement: str = ""
    scenario: str = ""

    @property
    def holder(self) -> str:
        """ARN of whose policies decide: the role's, where it is a session."""
        return self.role or self.principal

    @property
    def by_schema(self) -> bool:
        """Whether a resource's schema lists it, and no call was made: a type stands there."""
        return "::" in self.operation

    @property
    def request(self) -> Request:
        """The question again."""
        return Request(
            principal=Principal.from_arn(self.principal, role=self.role),
            action=self.action,
            resource=self.resource,
            context=self.context,
        )


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A policy of the account.

    Args:
        kind: What it is attached to.
        holder: ARN of the identity, the resource, or the role that it lets be assumed.
        name: Its name.
        document: As JSON.
    """

    kind: Kind
    holder: str
    name: str
    document: Mapping[str, Any] = field(hash=False)

    @property
    def label(self) -> str:
        """How reports name it."""
        return f"{self.holder.rpartition(':')[2]} {self.name}"


def concerns(attached: Attached, asked: Asked) -> bool:
    """Whether a policy has a say in a question."""
    trusting = asked.action.lower() in TRUST_ACTIONS
    if attached.kind == "identity":
        return asked.holder == attached.holder
    if attached.kind == "trust":
        return trusting and asked.resource == attached.holder
    whole, _, _ = asked.resource.partition("/")
    return not trusting and attached.holder in (asked.resource, whole)


def keys_of(attached: Attached) -> frozenset[str]:
    """Every condition key that a policy asks for, in lower case."""
    return _read(_Document(attached)).keys


def answer(asked: Asked, policies: Iterable[Attached]) -> Decision:
    """Answer a recorded question again, by these policies."""
    layers: dict[str, list[Policy]] = {"identity": [], "resource": [], "trust": []}
    for attached in policies:
        if concerns(attached, asked):
            layers[attached.kind].append(_read(_Document(attached)))
    trusting = asked.action.lower() in TRUST_ACTIONS
    return evaluate(
        asked.request,
        Policies(
            identity=tuple(layers["identity"]),
            resource=tuple(layers["trust"] if trusting else layers["resource"]),
            needs="resource" if trusting else "either",
        ),
    )


@dataclass(frozen=True)
class _Document:
    """A policy to be read once; documents are not changed."""

    attached: Attached

    def __hash__(self) -> int:
        return id(self.attached.document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Document) and other.attached.document is self.attached.document


@lru_cache(maxsize=4096)
def _read(document: _Document) -> Policy:
    attached = document.attached
    return parse_policy(attached.document, attached.label, attached.kind)
