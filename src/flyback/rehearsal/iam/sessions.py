"""Sessions of roles: what STS was asked for when they began, and what IAM sees of it later.

Sources: IAM user guide, "AWS global condition context keys" (aws:TokenIssueTime, MultiFactorAuth…,
FederatedProvider, SourceIdentity: there with temporary credentials), "Passing session tags in AWS
STS" and "Monitor and control actions taken with assumed roles" (what a chain of roles hands on);
STS API reference, AssumeRole (PolicyArns). Of a device's code nobody can tell here whether it is
right: who sends one is taken to have the device.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flyback.audit.iam.needs import as_tags
from flyback.rehearsal.call import Call, Response

__all__ = ["TAKES", "Session", "begun", "moment", "of_device"]

Context = dict[str, str | tuple[str, ...]]

TAKES = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity"})
"""Operations of STS that begin one."""

_KEY = re.compile(rb"<AccessKeyId>([A-Z0-9]+)</AccessKeyId>")
_OK = 200


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a session began with.

    Args:
        issued_at: When; simulated seconds since the epoch.
        tags: Its own, besides the role's.
        transitive: Keys of those that the next role's session has too, in lower case.
        policy_arns: Managed policies that limit it.
        source_identity: What every session of the chain has.
        device_at: When a device for multi-factor authentication was shown; None: it was not.
        provider: ARN of the identity provider whose token began it; empty where it was none's.
    """

    issued_at: float
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    transitive: frozenset[str] = frozenset()
    policy_arns: tuple[str, ...] = ()
    source_identity: str = ""
    device_at: float | None = None
    provider: str = ""

    def context(self, now: float) -> Context:
        """The condition keys of whatever it asks.

        Args:
            now: Simulated seconds since the epoch.
        """
        keys: Context = {
            "aws:TokenIssueTime": moment(self.issued_at),
            "aws:MultiFactorAuthPresent": str(self.device_at is not None).lower(),
        }
        if self.device_at is not None:
            keys["aws:MultiFactorAuthAge"] = str(int(now - self.device_at))
        if self.source_identity:
            keys["aws:SourceIdentity"] = self.source_identity
        if self.provider:
            keys["aws:FederatedProvider"] = self.provider
        return keys


def begun(
    call: Call, response: Response, now: float, *, before: Session | None = None, provider: str = ""
) -> dict[str, Session]:
    """The session that an answer of STS began, by its access key; nothing where none did.

    Args:
        call: What was asked.
        response: The answer.
        now: Simulated seconds since the epoch.
        before: The session that asked, if it was one.
        provider: ARN of the identity provider, if a token asked.
    """
    found = _KEY.search(response.body) if response.status == _OK else None
    if call.service != "sts" or call.operation not in TAKES or found is None:
        return {}
    inherited = before or Session(issued_at=now)
    handed_on = {
        key: text for key, text in inherited.tags.items() if key.lower() in inherited.transitive
    }
    params = call.params
    named = frozenset(key.lower() for key in params.get("TransitiveTagKeys") or ())
    session = Session(
        issued_at=now,
        tags={**handed_on, **as_tags(params.get("Tags"))},
        transitive=inherited.transitive | named,
        policy_arns=tuple(item["arn"] for item in params.get("PolicyArns") or ()),
        source_identity=str(params.get("SourceIdentity") or inherited.source_identity),
        device_at=now if of_device(call) else None,
        provider=provider,
    )
    return {found[1].decode(): session}


def of_device(call: Call) -> Context:
    """The keys of a request to STS that shows a device for multi-factor authentication."""
    if not (call.params.get("SerialNumber") and call.params.get("TokenCode")):
        return {}
    return {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "0"}


def moment(seconds: float) -> str:
    """A time as condition keys write it (ISO 8601)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
