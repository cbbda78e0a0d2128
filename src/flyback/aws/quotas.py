"""What the account may run, and what it has asked for."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.aws.service import Service

__all__ = ["QuotaRequest", "Quotas"]

_EC2 = "ec2"
_OPEN = ("PENDING", "CASE_OPENED")


@dataclass(frozen=True, kw_only=True)
class QuotaRequest:
    """A request for a higher quota that nobody has decided yet.

    Args:
        desired: vCPUs that were asked for.
        status: `PENDING` or `CASE_OPENED`.
        created_at: Seconds since the epoch.
    """

    desired: float
    status: str
    created_at: float


class Quotas(Service):
    """Service Quotas, of EC2."""

    def value(self, code: str) -> int:
        """The quota as it applies to this account and region, in vCPUs.

        Raises:
            NotFoundError: Service Quotas knows no such quota.
        """
        answer = self._call("get_service_quota", ServiceCode=_EC2, QuotaCode=code)
        return int(answer["Quota"]["Value"])

    def open_request(self, code: str) -> QuotaRequest | None:
        """The request for more that is still open; AWS takes one at a time."""
        answer = self._call(
            "list_requested_service_quota_change_history_by_quota",
            ServiceCode=_EC2,
            QuotaCode=code,
        )
        for item in answer.get("RequestedQuotas", []):
            if item["Status"] in _OPEN:
                return QuotaRequest(
                    desired=item["DesiredValue"],
                    status=item["Status"],
                    created_at=item["Created"].timestamp(),
                )
        return None
