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
        kind: As `flyback rehearse --fault` has it: `throttle`, `capacity`, `os-hung`, …
        wanted: `rate`, `pool`, `at` (s), `times` and `only`, as the kind needs them.

    Returns:
        How often it has acted so far: requests that failed, machines that it met, calls, events and
        schedules that came to nothing.
    """
    if kind not in _RATED:
        return _ARMED[kind](cloud, wanted)
    fields = {"service": "*", "operation": "*", **_RATED[kind], **wanted["only"]}
    (armed,) = cloud.faults.add(Fault(via="", rate=wanted["rate"], **fields))
    return lambda: armed.acted


def _each_launch(cloud: RehearsalCloud, meet: Callable[[Any], object]) -> None:
    """Do something for each machine as it is launched."""
    launched = cloud.machines.launched

    def watch(instance: Any) -> None:
        launched(instance)
        meet(instance)

    cloud.machines.launched = watch


def _interrupt(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    """Take the first spot machines back, or each, so long after launch, with the usual notice."""
    left = itertools.count(wanted["times"] or sys.maxsize, -1)
    taken: set[str] = set()

    def meet(instance: Any) -> None:
        if cloud.machines.is_spot(instance.id) and next(left) > 0:
            at = cloud.clock.now() + wanted["at"] + NOTICE_S
            cloud.reclaims.take(instance, at, lambda: taken.add(instance.id))

    _each_launch(cloud, meet)
    return lambda: len(taken)


def _reboot(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    return _meddle(cloud, wanted["at"], cloud.machines.restart)


def _hang(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    """At a time, everything freezes; without one, the machine works and does not shut down."""
    frozen = wanted["at"] > 0
    return _meddle(cloud, wanted["at"], functools.partial(cloud.machines.hang, frozen=frozen))


def _meddle(cloud: RehearsalCloud, after: float, act: Callable[[str], object]) -> Callable[[], int]:
    """Do something to each machine so long after its launch, if it is still there."""
    met: set[str] = set()

    def meet(instance: Any) -> None:
        def due() -> None:
            if instance.state in ("pending", "running"):
                met.add(instance.id)
                act(instance.id)

        cloud.clock.call_after(after, due)

    _each_launch(cloud, meet)
    return lambda: len(met)


def _expire(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
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
    cloud.clock.call_after(wanted["at"], lambda: armed.extend(cloud.faults.add(expired)))
    return lambda: sum(item.acted for item in armed)


def _break_guardian(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    del wanted
    cloud.functions.broken, acted = _counted(lambda name: name.endswith("-guardian"))
    return acted


def _lose_events(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    del wanted
    cloud.bus.lost, acted = _counted(lambda _: True)
    return acted


def _lose_schedules(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    once = {"one-time": (True,), "recurring": (False,), "": (True, False)}[wanted["pool"]]
    cloud.timetable.lost, acted = _counted(lambda schedule: schedule.once in once)
    return acted


def _counted(holds: Callable[[Any], bool]) -> tuple[Callable[[Any], bool], Callable[[], int]]:
    """A condition that counts how often it held, and the count."""
    held: list[object] = []

    def condition(item: Any) -> bool:
        found = holds(item)
        if found:
            held.append(item)
        return found

    return condition, lambda: len(held)


def _refuse(cloud: RehearsalCloud, wanted: Mapping[str, Any]) -> Callable[[], int]:
    pool = str(wanted["pool"])
    if pool in ("spot", "on-demand"):
        part = {"market": pool}
    else:
        part = {"instance_type": pool} if "." in pool else {"zone": pool}
    cloud.capacity.refuse(**part)
    return lambda: cloud.capacity.acted(**part)


_ARMED: Mapping[str, Callable[[RehearsalCloud, Mapping[str, Any]], Callable[[], int]]] = {
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
