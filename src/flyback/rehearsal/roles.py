"""Sessions of roles, as AWS's services take them for those who gave them a role.

Takes: a role, the service that takes it, the resource for whose sake. Gives: temporary keys from
the emulated STS, so that whatever the service then does is signed by the role and judged as its.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.transport import Caller, Clients

__all__ = ["Session", "Sessions"]

_SESSION_S = 3600  # the default of a role's longest (IAM user guide, "Use IAM roles")
# Chosen: AWS throws idle environments away when it likes, and each new one takes a real second.
_LONGER_S = {"lambda": 12 * 3600}


@dataclass(frozen=True, kw_only=True)
class Session:
    """Temporary keys of a role.

    Args:
        caller: Who signs with them.
        ends_at: Simulated seconds since the epoch.
    """

    caller: Caller
    ends_at: float


class Sessions:
    """Takes roles for services.

    Args:
        clients: boto3 clients of the emulated account.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def take(
        self, role_arn: str, name: str, *, region: str, service: str, source_arn: str
    ) -> Session:
        """A session of a role.

        Args:
            role_arn: The role.
            name: Of the session; the principal's ARN ends with it.
            region: Where the service works.
            service: Who takes it: `lambda`, `scheduler`.
            source_arn: For whose sake; a trust policy may ask (`aws:SourceArn`).

        Raises:
            ClientError: STS refuses.
        """
        sts = self._clients.of("sts", region, Caller(via=service, source_arn=source_arn))
        answer = sts.assume_role(
            RoleArn=role_arn,
            RoleSessionName=name[:64],
            DurationSeconds=_LONGER_S.get(service, _SESSION_S),
        )["Credentials"]
        holder = Caller(
            access_key=answer["AccessKeyId"],
            secret=answer["SecretAccessKey"],
            token=answer["SessionToken"],
        )
        return Session(caller=holder, ends_at=answer["Expiration"].timestamp())

    def client(self, service: str, region: str, session: Session) -> Any:
        """A boto3 client that signs with a session's keys."""
        return self._clients.of(service, region, session.caller)
