"""Who signs."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from flyback.aws.service import Service

__all__ = ["Identity", "Sts"]


@dataclass(frozen=True)
class Identity:
    """Account (twelve digits) and ARN of the caller."""

    account: str
    arn: str


class Sts(Service):
    """Security Token Service."""

    def identity(self) -> Identity:
        """Ask who the credentials belong to."""
        answer = self._call("get_caller_identity")
        return Identity(answer["Account"], answer["Arn"])

    def server_time(self) -> float:
        """Seconds since the epoch by AWS's clock, from the `Date` of an answer."""
        answer = self._call("get_caller_identity")
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        return parsedate_to_datetime(date).timestamp()
