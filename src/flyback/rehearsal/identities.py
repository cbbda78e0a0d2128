"""Whose access key it is: the account's own, a user's, or a role session's."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from flyback.rehearsal.moto_state import ACCOUNT, LOCK, backend

__all__ = ["ROOT", "Identities", "Signer", "deployer"]

_INSTANCE = re.compile(r"^i-[0-9a-f]{8,17}$")
_GONE = ("shutting-down", "terminated")


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who holds an access key.

    Args:
        principal: Its ARN.
        access_key: Access key id.
        secret: Secret access key.
        token: Session token; empty for long-lived keys.
        expired: Its session is over.
        active: It is not switched off.
        session: Moto's AssumedRole, where it is a role session.
    """

    principal: str
    access_key: str
    secret: str
    token: str = ""
    expired: bool = False
    active: bool = True
    session: Any = None


# Keys of the emulated account's root user: no secret, they open nothing but a rehearsal.
ROOT = Signer(
    principal=f"arn:aws:iam::{ACCOUNT}:root",
    access_key="AKIAREHEARSALONLY123",
    secret=hashlib.sha256(b"opens nothing but a rehearsal").hexdigest()[:40],
)


_DEPLOYER = "deployer"


def deployer(iam: Any, policy: Mapping[str, Any]) -> Signer:
    """Make a user with one policy, and their keys.

    Args:
        iam: A boto3 client of the root user.
        policy: The policy's document.
    """
    user = iam.create_user(UserName=_DEPLOYER)["User"]
    made = iam.create_policy(PolicyName=_DEPLOYER, PolicyDocument=json.dumps(policy))["Policy"]
    iam.attach_user_policy(UserName=_DEPLOYER, PolicyArn=made["Arn"])
    key = iam.create_access_key(UserName=_DEPLOYER)["AccessKey"]
    return Signer(
        principal=user["Arn"], access_key=key["AccessKeyId"], secret=key["SecretAccessKey"]
    )


class Identities:
    """Every access key of the emulated account.

    A role session ends at its expiration in simulated time. The session of an instance profile
    (named as the instance) lasts while its instance does: IMDS would have rotated the keys, and
    the SDK on the machine, which reads real time, would have fetched them.

    Args:
        now: Simulated seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def find(self, access_key: str) -> Signer | None:
        """Who holds a key; None where nobody does."""
        if access_key == ROOT.access_key:
            return ROOT
        with LOCK:
            return self._session(access_key) or self._user(access_key)

    def principal(self, access_key: str) -> str:
        """ARN of who holds a key; `unknown` where nobody does."""
        signer = self.find(access_key)
        return signer.principal if signer else "unknown"

    def _user(self, access_key: str) -> Signer | None:
        key = backend("iam", "global").access_keys.get(access_key)
        if key is None or not key.user_name:
            return None
        user = backend("iam", "global").users.get(key.user_name)
        return user and Signer(
            principal=str(user.arn),
            access_key=access_key,
            secret=str(key.secret_access_key),
            active=key.status == "Active",
        )

    def _session(self, access_key: str) -> Signer | None:
        role = backend("sts", "global").get_assumed_role_from_access_key(access_key)
        if role is None:
            return None
        return Signer(
            principal=str(role.arn),
            access_key=access_key,
            secret=str(role.secret_access_key),
            token=str(role.session_token),
            expired=self._over(role),
            session=role,
        )

    def _over(self, role: Any) -> bool:
        if role.expiration.replace(tzinfo=UTC).timestamp() > self._now():
            return False
        if not _INSTANCE.match(role.session_name):
            return True
        instance = backend("ec2", role.region_name).get_instance_by_id(role.session_name)
        return instance is None or instance.state in _GONE
