"""Who asks, and whether a Principal element means them.

Source: IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Principal", "Reach", "reach_of"]

PrincipalKind = Literal["root", "user", "role", "session", "federated-user", "service", "web"]
Reach = Literal["", "account", "role", "direct"]
"""How a Principal element means a principal: not at all, through its account, through the role
whose session it is, or by its own name (or as everybody)."""

_ARN = re.compile(
    r"^arn:[^:]+:(?:iam|sts)::(?P<account>\d{12}):"
    r"(?P<what>root|user|role|assumed-role|federated-user)(?:/(?P<name>.+))?$"
)
_KINDS: Mapping[str, PrincipalKind] = {
    "root": "root",
    "user": "user",
    "role": "role",
    "assumed-role": "session",
    "federated-user": "federated-user",
}
# Named like a service, yet an identity provider (IAM user guide, "AWS JSON policy elements:
# Principal", "Web identity session principals").
_PROVIDERS = ("cognito-identity.amazonaws.com",)
_ACCOUNT = re.compile(r"^(?:arn:[^:]+:iam::)?(\d{12})(?::root)?$")
_RANK: tuple[Reach, ...] = ("", "account", "role", "direct")


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks.

    Args:
        kind: What they are; `web` comes with a token of an identity provider.
        arn: Their ARN; the service's or the provider's name for those who have none; empty for
            someone who is not known at all.
        account: Twelve digits, or empty.
        role: ARN of the role whose session it is, or empty.
        tags: Of the user, the role or the session.
        user_id: Unique id (`aws:userid`); may be empty.
    """

    kind: PrincipalKind | Literal["anonymous"]
    arn: str = ""
    account: str = ""
    role: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    user_id: str = ""

    @classmethod
    def from_arn(
        cls, arn: str, *, role: str = "", tags: Mapping[str, str] | None = None, user_id: str = ""
    ) -> Principal:
        """A principal by its ARN, or a service by its name (`ec2.amazonaws.com`).

        Args:
            arn: Of a root user, user, role, role session or federated user.
            role: Of a session; without it the role is taken to have no path.
            tags: What `aws:PrincipalTag` sees.
            user_id: What `aws:userid` sees.
        """
        found = _ARN.match(arn)
        if found is None:
            kind: PrincipalKind | Literal["anonymous"] = "anonymous"
            if arn.endswith((".amazonaws.com", ".amazonaws.com.cn")) and arn not in _PROVIDERS:
                kind = "service"
            elif arn:
                kind = "web"
            return cls(kind=kind, arn=arn)
        kind = _KINDS[found["what"]]
        if kind == "session" and not role:
            name = (found["name"] or "").partition("/")[0]
            partition = arn.split(":")[1]
            role = f"arn:{partition}:iam::{found['account']}:role/{name}"
        return cls(
            kind=kind,
            arn=arn,
            account=found["account"],
            role=role if kind == "session" else "",
            tags=tags or {},
            user_id=user_id,
        )

    def context(self) -> dict[str, str | tuple[str, ...]]:
        """The condition keys that follow from who asks (global condition keys reference).

        Of the names that a service goes by, the one that asks alone is known.
        """
        keys: dict[str, str | tuple[str, ...]] = {
            f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()
        }
        keys["aws:PrincipalIsAWSService"] = str(self.kind == "service").lower()
        if self.kind == "service":
            keys["aws:PrincipalServiceName"] = self.arn
            keys["aws:PrincipalServiceNamesList"] = (self.arn,)
        if not self.account:
            return keys
        keys["aws:PrincipalAccount"] = self.account
        keys["aws:PrincipalArn"] = self.role or self.arn
        types = {"root": "Account", "user": "User", "federated-user": "FederatedUser"}
        keys["aws:PrincipalType"] = types.get(self.kind, "AssumedRole")
        if self.kind == "user":
            keys["aws:username"] = self.arn.rpartition("/")[2]
        if self.user_id or self.kind == "root":
            keys["aws:userid"] = self.user_id or self.account
        return keys

    def names(self) -> tuple[str, ...]:
        """Every name that a NotPrincipal must hold to leave them out: own, role's, account's."""
        partition = self.arn.split(":")[1] if self.account else "aws"
        account = f"arn:{partition}:iam::{self.account}:root" if self.account else ""
        return tuple(dict.fromkeys(name for name in (self.arn, self.role, account) if name))


def reach_of(element: Mapping[str, tuple[str, ...]], principal: Principal) -> Reach:
    """How far a Principal element means a principal; the closest of its entries counts."""
    reached: Reach = ""
    for kind, names in element.items():
        for name in names:
            found = _reach(kind, name, principal)
            if _RANK.index(found) > _RANK.index(reached):
                reached = found
    return reached


def _reach(kind: str, name: str, principal: Principal) -> Reach:
    if kind == "AWS":
        if name == "*":
            return "direct"
        account = _ACCOUNT.match(name)
        if account:
            own = principal.kind == "root"
            return ("direct" if own else "account") if account[1] == principal.account else ""
        if principal.account and name == principal.arn:
            return "direct"
        return "role" if principal.role and name == principal.role else ""
    wanted = {"Service": "service", "Federated": "web"}.get(kind)
    return "direct" if wanted == principal.kind and name in ("*", principal.arn) else ""
