"""EC2's vCPU quotas: which one an instance type counts against in each market.

Names and defaults of spot quotas: EC2 user guide, "Spot Instance quotas". Codes: each quota says
where its code comes from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["QUOTAS", "Quota", "Use", "quota_by_code", "quota_of"]

_PUBLISHED = "told alike by several public projects that read it from Service Quotas"
_MEMORY = "from memory, not verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit on the vCPUs that an account may run in a region at a time.

    Args:
        code: Service Quotas' code, of the service `ec2`.
        name: As Service Quotas names it.
        group: Family group: `Standard`, `G and VT`, `P`, `P4, P3 and P2`, `P5`, `X`, …
        market: `spot` or `on-demand`.
        default: vCPUs of a new account.
        source: Where the code comes from.
    """

    code: str
    name: str
    group: str
    market: str
    default: int
    source: str

    def increase_command(self, region: str, vcpus: int) -> str:
        """The AWS CLI command that asks for so many vCPUs."""
        return (
            "aws service-quotas request-service-quota-increase --service-code ec2 "
            f"--quota-code {self.code} --desired-value {vcpus} --region {region}"
        )

    def pending_command(self, region: str) -> str:
        """The AWS CLI command that tells how earlier requests stand."""
        return (
            "aws service-quotas list-requested-service-quota-change-history-by-quota "
            f"--service-code ec2 --quota-code {self.code} --region {region}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How much of a quota is taken, and how much more is asked for.

    Args:
        quota: The quota.
        allowed: Its value in the account and region, vCPUs.
        used: vCPUs of the machines that count against it now.
        asked: vCPUs of the machine that is wanted.
        instance_type: The type of that machine.
    """

    quota: Quota
    allowed: int
    used: int
    asked: int
    instance_type: str

    @property
    def needed(self) -> int:
        """VCPUs that the quota would have to allow."""
        return self.used + self.asked

    @property
    def fits(self) -> bool:
        """Whether the machine may be launched beside those that run."""
        return self.needed <= self.allowed


def _spot(code: str, group: str, default: int, source: str) -> Quota:
    named = f"{group} (A, C, D, H, I, M, R, T, Z)" if group == "Standard" else group
    name = f"All {named} Spot Instance Requests"
    return Quota(code=code, name=name, group=group, market="spot", default=default, source=source)


def _on_demand(code: str, group: str, default: int, source: str) -> Quota:
    named = f"{group} (A, C, D, H, I, M, R, T, Z)" if group == "Standard" else group
    name = f"Running On-Demand {named} instances"
    return Quota(
        code=code, name=name, group=group, market="on-demand", default=default, source=source
    )


QUOTAS = (
    _spot("L-34B43A08", "Standard", 5, _PUBLISHED),
    _spot("L-3819A6DF", "G and VT", 0, _PUBLISHED),
    _spot("L-7212CCBC", "P4, P3 and P2", 0, _PUBLISHED),
    _spot("L-C4BD4855", "P5", 0, _MEMORY),
    _spot("L-E3A00192", "X", 0, _MEMORY),
    _on_demand("L-1216C47A", "Standard", 5, _PUBLISHED),
    _on_demand("L-DB2E81BA", "G and VT", 0, _PUBLISHED),
    _on_demand("L-417A185B", "P", 0, _PUBLISHED),
    _on_demand("L-7295265B", "X", 0, _MEMORY),
)
"""The quotas of the families in the catalogue. The spot quota of P6 is left out: sources disagree
on its code."""

_FAMILY = re.compile(r"(?P<letters>[a-z]+)(?P<generation>\d*)")
_GROUPS = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), "Standard"),
    **dict.fromkeys(("g", "gr", "vt"), "G and VT"),
    "x": "X",
}
_SPOT_P = {"2": "P4, P3 and P2", "3": "P4, P3 and P2", "4": "P4, P3 and P2", "5": "P5"}


def quota_of(instance_type: str, market: str) -> Quota | None:
    """The quota that a type counts against; None where its code is not known.

    Args:
        instance_type: For instance `g4dn.xlarge`.
        market: `spot` or `on-demand`.
    """
    found = _FAMILY.match(instance_type)
    if found is None:
        return None
    group = _GROUPS.get(found["letters"])
    if found["letters"] == "p":
        group = _SPOT_P.get(found["generation"]) if market == "spot" else "P"
    return next((q for q in QUOTAS if q.group == group and q.market == market), None)


def quota_by_code(code: str) -> Quota | None:
    """The quota of that code, where it is one of `QUOTAS`."""
    return next((quota for quota in QUOTAS if quota.code == code), None)
