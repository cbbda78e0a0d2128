"""What a user asks to go wrong, and what must not go unnoticed: a machine that cannot start.

On AWS a machine whose user-data fails idles until its lease ends. A rehearsal says so at once.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from flyback.errors import ServiceError
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.market.reclaims import NOTICE_S
from flyback.rehearsal.middleware.faults import Armed, Fault
from flyback.spec.clock import Clock

__all__ = ["StrictClock", "arm"]

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

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        self._clock.signalled(process)


def arm(cloud: RehearsalCloud, kind: str, wanted: Mapping[str, Any]) -> Callable[[], int]:
    """Let something go wrong.

    Args:
        cloud: Where.
        kind: `throttle`, `error`, `drop`, `capacity`, `expired-credentials` or `interrupt`.
        wanted: `rate`, `pool`, `at` (s) and `only`, as the kind needs them.

    Returns:
        How often it has acted so far: requests that failed, machines that were taken.
    """
    if kind == "capacity":
        return _refuse(cloud, str(wanted["pool"]))
    if kind == "interrupt":
        return _interrupt(cloud, wanted["at"])
    if kind == "expired-credentials":
        return _expire(cloud, wanted["at"])
    fields = {"service": "*", "operation": "*", **_RATED[kind], **wanted["only"]}
    (armed,) = cloud.faults.add(Fault(via="", rate=wanted["rate"], **fields))
    return lambda: armed.acted


def _refuse(cloud: RehearsalCloud, pool: str) -> Callable[[], int]:
    if pool in ("spot", "on-demand"):
        part = {"market": pool}
    else:
        part = {"instance_type": pool} if "." in pool else {"zone": pool}
    cloud.capacity.refuse(**part)
    return lambda: cloud.capacity.acted(**part)


def _interrupt(cloud: RehearsalCloud, after: float) -> Callable[[], int]:
    """Take each spot machine back so many seconds after its launch, told two minutes before."""
    taken: set[str] = set()
    launched = cloud.machines.launched

    def watch(instance: Any) -> None:
        launched(instance)
        if getattr(instance, "lifecycle", None) == "spot":
            at = cloud.clock.now() + after + NOTICE_S
            cloud.reclaims.take(instance, at, lambda: taken.add(instance.id))

    cloud.machines.launched = watch
    return lambda: len(taken)


def _expire(cloud: RehearsalCloud, after: float) -> Callable[[], int]:
    expired = Fault(
        service="*",
        operation="*",
        via="",
        principal=cloud.client.principal,
        code="ExpiredToken",
        message="The security token included in the request is expired",
        status=400,
    )
    armed: list[Armed] = []
    cloud.clock.call_after(after, lambda: armed.extend(cloud.faults.add(expired)))
    return lambda: sum(item.acted for item in armed)


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
