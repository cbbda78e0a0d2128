"""vCPU quotas of the emulated account, and Service Quotas' answers about them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyback.plan.quotas import QUOTAS, Quota, quota_by_code, quota_of
from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.market.conditions import ALLOWED_VCPUS, Conditions
from flyback.rehearsal.moto_state import ACCOUNT, LOCK, backend

__all__ = ["Quotas", "QuotasGap"]

_COUNTED = ("pending", "running")  # states whose vCPUs count against a quota
_EXCEEDED = {"spot": "MaxSpotInstanceCountExceeded", "on-demand": "VcpuLimitExceeded"}
_SERVICE = "ec2"
_SERVICE_NAME = "Amazon Elastic Compute Cloud (Amazon EC2)"


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A request for a higher quota; it is approved when its review is over."""

    number: int
    region: str
    quota: Quota
    desired: float
    at: float
    requester: str


class Quotas:
    """What the account may run, by region and quota.

    Args:
        now: Simulated seconds since the epoch.
        conditions: Values to begin with, and how long a review takes.
    """

    def __init__(self, now: Callable[[], float], conditions: Conditions) -> None:
        self._now = now
        self._review_s = conditions.review_s
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}
        self._everywhere = dict(conditions.quotas)
        self._requests: list[_Request] = []

    def set(self, code: str, vcpus: float, region: str | None = None) -> None:
        """Set a quota, in one region or in all that were not set by themselves."""
        with self._lock:
            if region is None:
                self._everywhere[code] = int(vcpus)
            else:
                self._values[region, code] = vcpus

    def value(self, code: str, region: str) -> float:
        """VCPUs that a quota allows now, approved requests included."""
        with self._lock:
            base = self._values.get((region, code), self._everywhere.get(code, ALLOWED_VCPUS))
            granted = [
                request.desired
                for request in self._requests
                if (request.region, request.quota.code) == (region, code)
                and request.at + self._review_s <= self._now()
            ]
        return max([base, *granted])

    def used(self, quota: Quota, region: str) -> int:
        """VCPUs of the machines that count against a quota."""
        with LOCK:
            state = backend("ec2", region)
            machines = [
                instance
                for reservation in state.reservations.values()
                for instance in reservation.instances
                if instance.state in _COUNTED
            ]
            return sum(
                vcpus_of(machine.instance_type)
                for machine in machines
                if quota_of(
                    machine.instance_type, getattr(machine, "lifecycle", None) or "on-demand"
                )
                == quota
            )

    def refuses(self, instance_type: str, region: str, market: str, count: int) -> str | None:
        """AWS's error code where so many machines of a type are more than the account may run."""
        quota = quota_of(instance_type, market)
        if quota is None:
            return None
        wanted = self.used(quota, region) + count * vcpus_of(instance_type)
        return _EXCEEDED[market] if wanted > self.value(quota.code, region) else None

    def ask(self, quota: Quota, region: str, desired: float, requester: str) -> _Request:
        """Ask for a higher quota.

        Raises:
            AwsError: it is no higher, or a request is open already.
        """
        if desired <= self.value(quota.code, region):
            raise AwsError(
                "IllegalArgumentException",
                "You must provide a quota value greater than the current quota value.",
            )
        if any(self.status(request) == "PENDING" for request in self.asked(quota.code, region)):
            raise AwsError(
                "ResourceAlreadyExistsException",
                "Only one open service quota increase request is allowed per quota.",
            )
        with self._lock:
            request = _Request(
                number=len(self._requests) + 1,
                region=region,
                quota=quota,
                desired=desired,
                at=self._now(),
                requester=requester,
            )
            self._requests.append(request)
        return request

    def asked(self, code: str, region: str) -> list[_Request]:
        """Requests for a quota, newest first."""
        with self._lock:
            found = [
                item for item in self._requests if (item.region, item.quota.code) == (region, code)
            ]
        return found[::-1]

    def status(self, request: _Request) -> str:
        """`PENDING`, then `APPROVED`."""
        return "APPROVED" if request.at + self._review_s <= self._now() else "PENDING"

    def described(self, request: _Request) -> dict[str, Any]:
        """A request as Service Quotas describes it."""
        reviewed = min(request.at + self._review_s, self._now())
        return {
            "Id": uuid.UUID(int=request.number, version=4).hex,
            "ServiceCode": _SERVICE,
            "ServiceName": _SERVICE_NAME,
            "QuotaCode": request.quota.code,
            "QuotaName": request.quota.name,
            "DesiredValue": request.desired,
            "Status": self.status(request),
            "Created": datetime.fromtimestamp(request.at, UTC),
            "LastUpdated": datetime.fromtimestamp(reviewed, UTC),
            "Requester": f'{{"accountId":"{ACCOUNT}","callerArn":"{request.requester}"}}',
            "QuotaArn": _arn(request.quota, request.region),
            "GlobalQuota": False,
            "Unit": "None",
        }


class QuotasGap:
    """Service Quotas, for EC2's vCPU quotas."""

    service = "service-quotas"

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._answers: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "GetServiceQuota": lambda call: {"Quota": self._quota(call, _named(call))},
            "GetAWSDefaultServiceQuota": lambda call: {"Quota": _default(call, _named(call))},
            "ListServiceQuotas": self._list,
            "RequestServiceQuotaIncrease": self._ask,
            "ListRequestedServiceQuotaChangeHistoryByQuota": self._history,
        }
        self.operations = frozenset(self._answers)

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        del forward  # moto knows none of these quotas
        return self._answers[call.operation](call)

    def _quota(self, call: Call, quota: Quota) -> dict[str, Any]:
        return {**_default(call, quota), "Value": self._quotas.value(quota.code, call.region)}

    def _list(self, call: Call) -> Mapping[str, Any]:
        _check_service(call)
        code = call.params.get("QuotaCode")
        wanted = [quota for quota in QUOTAS if code in (None, quota.code)]
        return {"Quotas": [self._quota(call, quota) for quota in wanted]}

    def _ask(self, call: Call) -> Mapping[str, Any]:
        desired = float(call.params["DesiredValue"])
        request = self._quotas.ask(_named(call), call.region, desired, call.principal)
        return {"RequestedQuota": self._quotas.described(request)}

    def _history(self, call: Call) -> Mapping[str, Any]:
        quota, status = _named(call), call.params.get("Status")
        told = [
            self._quotas.described(item) for item in self._quotas.asked(quota.code, call.region)
        ]
        return {"RequestedQuotas": [item for item in told if status in (None, item["Status"])]}


def vcpus_of(instance_type: str) -> int:
    """How many virtual CPUs a type has, as EC2 describes it."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    described = INSTANCE_TYPES.get(instance_type)
    return int(described["VCpuInfo"]["DefaultVCpus"]) if described else 0


def _named(call: Call) -> Quota:
    _check_service(call)
    quota = quota_by_code(str(call.params.get("QuotaCode", "")))
    if quota is None:
        raise AwsError(
            "NoSuchResourceException",
            "The request failed because the specified service does not exist.",
        )
    return quota


def _check_service(call: Call) -> None:
    if call.params.get("ServiceCode") != _SERVICE:
        raise AwsError(
            "NotEmulated", f"quotas of {call.params.get('ServiceCode')} are not emulated", 501
        )


def _default(call: Call, quota: Quota) -> dict[str, Any]:
    return {
        "ServiceCode": _SERVICE,
        "ServiceName": _SERVICE_NAME,
        "QuotaArn": _arn(quota, call.region),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(quota.default),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _arn(quota: Quota, region: str) -> str:
    return f"arn:aws:servicequotas:{region}:{ACCOUNT}:{_SERVICE}/{quota.code}"
