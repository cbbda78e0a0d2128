"""What a user asks to go wrong, and what must not go unnoticed: a machine that cannot start.

On AWS a machine whose user-data fails idles until its lease ends. A rehearsal says so at once.
"""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from flyback.errors import ServiceError
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.market.reclaims import NOTICE_S
from flyback.rehearsal.middleware.faults import Fault
from flyback.spec.clock import Clock

__all__ = ["MeddlingHost", "StrictClock", "arm"]

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


class MeddlingHost:
    """Does something to each machine some time after its launch.

    Args:
        cloud: The cloud.
        after: Simulated seconds from launch.
        meddle: What; told the machine's id.
    """

    def __init__(
        self, cloud: RehearsalCloud, after: float, meddle: Callable[[str], object]
    ) -> None:
        self._clock = cloud.clock
        self._after = after
        self._meddle = meddle
        self._host: Any = cloud.machines.host

    def boot(self, instance_id: str, region: str) -> None:
        self._host.boot(instance_id, region)
        if self._after > 0:
            self._clock.call_after(self._after, lambda: self._meddle(instance_id))
        else:
            self._meddle(instance_id)

    def halt(self, instance_id: str) -> None:
        self._host.halt(instance_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def arm(cloud: RehearsalCloud, kind: str, wanted: Mapping[str, Any]) -> None:
    """Let something go wrong.

    Args:
        cloud: Where.
        kind: As `flyback rehearse --fault` has it: `throttle`, `capacity`, `os-hung`, …
        wanted: `rate`, `pool`, `at` (s), `times` and `only`, as the kind needs them.
    """
    if kind in _RATED:
        fields = {"service": "*", "operation": "*", **_RATED[kind], **wanted["only"]}
        cloud.faults.add(Fault(via="", rate=wanted["rate"], **fields))
    else:
        _ARMED[kind](cloud, wanted)


def _interrupt(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    """EC2 takes back the first spot machines, or each, with the usual notice."""
    left = itertools.count(wanted["times"] or sys.maxsize, -1)

    def take(instance_id: str) -> None:
        if not cloud.machines.is_spot(instance_id) or next(left) <= 0:
            return
        cloud.machines.warn(instance_id, "terminate", cloud.clock.now() + NOTICE_S)
        cloud.clock.call_after(NOTICE_S, lambda: cloud.machines.reclaim(instance_id))

    cloud.machines.host = MeddlingHost(cloud, wanted["at"], take)


def _reboot(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    cloud.machines.host = MeddlingHost(cloud, wanted["at"], cloud.machines.restart)


def _hang(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    """At a time, everything freezes; without one, the machine works and does not shut down."""
    frozen = wanted["at"] > 0
    hang = functools.partial(cloud.machines.hang, frozen=frozen)
    cloud.machines.host = MeddlingHost(cloud, wanted["at"], hang)


def _expire(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    expired = Fault(
        service="*",
        operation="*",
        via="",
        principal=cloud.client.principal,
        code="ExpiredToken",
        message="The security token included in the request is expired",
        status=400,
    )
    cloud.clock.call_after(wanted["at"], lambda: cloud.faults.add(expired))


def _break_guardian(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    del wanted
    cloud.functions.broken = lambda name: name.endswith("-guardian")


def _lose_events(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    del wanted
    cloud.bus.lost = lambda _: True


def _lose_schedules(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    once = {"one-time": (True,), "recurring": (False,), "": (True, False)}[wanted["pool"]]
    cloud.timetable.lost = lambda schedule: schedule.once in once


def _refuse(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> None:
    pool = str(wanted["pool"])
    if pool in ("spot", "on-demand"):
        cloud.capacity.refuse(market=pool)
    elif "." in pool:
        cloud.capacity.refuse(instance_type=pool)
    else:
        cloud.capacity.refuse(zone=pool)


_ARMED: Mapping[str, Callable[[RehearsalCloud, Mapping[str, Any]], None]] = {
    "capacity": _refuse,
    "events-lost": _lose_events,
    "expired-credentials": _expire,
    "guardian-broken": _break_guardian,
    "interrupt": _interrupt,
    "os-hung": _hang,
    "reboot": _reboot,
    "schedules-lost": _lose_schedules,
}


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
