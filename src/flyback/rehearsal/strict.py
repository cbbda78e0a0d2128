"""What a user asks to go wrong, and what must not go unnoticed: a machine that cannot start.

On AWS a machine whose user-data fails idles until its lease ends. A rehearsal says so at once.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

from flyback.errors import ServiceError
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.identities import ROOT
from flyback.rehearsal.middleware.faults import Fault
from flyback.spec.clock import Clock

__all__ = ["InterruptingHost", "StrictClock", "arm"]

_NOTICE_S = 120.0  # EC2 user guide: the notice comes two minutes before the machine is taken
_TAIL_LINES = 5

_RATED: Mapping[str, Mapping[str, Any]] = {
    # S3 and EC2 throttle with 503; an answer to HEAD has no body to name a code in
    "throttle": {"code": "ThrottlingException", "message": "Rate exceeded", "status": 503},
    "error": {"code": "InternalError", "message": "An internal error has occurred", "status": 500},
    "drop": {"drop": True},
}


class StrictClock:
    """The client's clock; its waits end with an error where a machine's user-data has failed.

    Args:
        clock: The client's own.
        cloud: Whose machines are looked at.
    """

    def __init__(self, clock: Clock, cloud: RehearsalCloud) -> None:
        self._clock = clock
        self._cloud = cloud

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        for instance_id, record in self._cloud.records().items():
            complaint = _complaint(record)
            if complaint:
                said = self._cloud.boot_log(instance_id).splitlines()[-_TAIL_LINES:]
                complaint += "".join(f"\n    {line}" for line in said)
                raise ServiceError(
                    complaint,
                    where=f"user-data of {instance_id}",
                    remedy="mend the launch template's user-data; on AWS this machine would idle "
                    "until its lease ends",
                )

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        return self._clock.wait(process, seconds)


class InterruptingHost:
    """Takes each machine back some time after its launch, with the usual notice.

    Args:
        cloud: The cloud.
        after: Simulated seconds from launch to notice.
    """

    def __init__(self, cloud: RehearsalCloud, after: float) -> None:
        self._cloud = cloud
        self._after = after
        self._host: Any = cloud.machines.host

    def boot(self, instance_id: str, region: str) -> None:
        self._host.boot(instance_id, region)
        self._cloud.clock.call_after(self._after, lambda: self._notice(instance_id))

    def halt(self, instance_id: str) -> None:
        self._host.halt(instance_id)

    def reboot(self, instance_id: str) -> None:
        """As any other."""
        self._host.reboot(instance_id)

    def _notice(self, instance_id: str) -> None:
        clock = self._cloud.clock
        self._host.notice(instance_id, "terminate", clock.now() + _NOTICE_S)
        clock.call_after(_NOTICE_S, lambda: self._cloud.machines.reclaim(instance_id))


def arm(cloud: RehearsalCloud, kind: str, wanted: Mapping[str, Any]) -> None:
    """Let something go wrong.

    Args:
        cloud: Where.
        kind: `throttle`, `error`, `drop`, `capacity`, `expired-credentials` or `interrupt`.
        wanted: `rate`, `pool`, `at` (s) and `only`, as the kind needs them.
    """
    if kind == "capacity":
        _refuse(cloud, str(wanted["pool"]))
    elif kind == "interrupt":
        cloud.machines.host = InterruptingHost(cloud, wanted["at"])
    elif kind == "expired-credentials":
        expired = Fault(
            service="*",
            operation="*",
            via="",
            principal=ROOT.principal,
            code="ExpiredToken",
            message="The security token included in the request is expired",
            status=400,
        )
        cloud.clock.call_after(wanted["at"], lambda: cloud.faults.add(expired))
    else:
        fields = {"service": "*", "operation": "*", **_RATED[kind], **wanted["only"]}
        cloud.faults.add(Fault(via="", rate=wanted["rate"], **fields))


def _refuse(cloud: RehearsalCloud, pool: str) -> None:
    if pool in ("spot", "on-demand"):
        cloud.capacity.refuse(market=pool)
    elif "." in pool:
        cloud.capacity.refuse(instance_type=pool)
    else:
        cloud.capacity.refuse(zone=pool)


def _complaint(record: Mapping[str, Any]) -> str:
    """Why a machine is on and does nothing; empty where all is well."""
    told = [event["what"] for event in record["events"]]
    if "off" in told:
        return ""
    for what in told:
        if what.startswith("user-data is no script"):
            return str(what)
    if record["exit_code"] in (None, 0):
        return ""
    return f"it ended with exit code {record['exit_code']} and the machine is still on; it said:"
