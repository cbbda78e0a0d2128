"""What a run used, from what the cloud says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from flyback.aws.ec2 import Instance
from flyback.aws.session import Session
from flyback.launch.records import Records
from flyback.plan.receipt import MachineUse
from flyback.spec.clock import Clock
from flyback.spec.event import Marker
from flyback.spec.launch import Attempt, Launch
from flyback.spec.receipt import Usage

__all__ = ["cloud_usage", "local_usage", "machine_uses"]

_PUT_CLASS = frozenset(
    {
        "PutObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "ListObjectsV2",
        "ListObjectVersions",
    }
)
_GET_CLASS = frozenset({"GetObject", "HeadObject"})
_HOUR_S = 3600.0
_OVER = frozenset({"shutting-down", "terminated"})
_TAKEN = "Server.SpotInstanceTermination"
_NOTICE_S = 120.0  # from EC2's notice to the end of the machine
_SHUTDOWN_S = 10.0  # assumed: from the marker to the end of the operating system


def cloud_usage(session: Session, launch: Launch, records: Records, clock: Clock) -> Usage:
    """Machine hours from EC2's own times; bytes from the bucket; requests as counted.

    S3 requests of the client are counted here, those of the agent by the agent.
    """
    granted = [attempt for attempt in launch.attempts if attempt.instance_id]
    attempt = granted[-1] if granted else launch.attempts[-1]
    machines = machine_uses(session, launch, records, clock)
    _, stored = records.stored_bytes()
    agent = _uploaded(records, [item.number for item in granted])
    return Usage(
        instance_type=attempt.instance_type,
        zone=attempt.zone,
        market=attempt.market,
        hours=sum(machine.hours for machine in machines),
        boot_hours=_boot_hours(records, attempt),
        disk_gib=_disk_gib(attempt.request),
        stored_bytes=stored,
        log_bytes=agent.get("log_bytes", 0),
        put_requests=agent.get("put_requests", 0) + _counted(session, _PUT_CLASS),
        get_requests=agent.get("get_requests", 0) + _counted(session, _GET_CLASS),
        public_address=launch.public_address,
        lost_work_s=lost_work_s(records, [item.number for item in granted]),
    )


def machine_uses(
    session: Session, launch: Launch, records: Records, clock: Clock
) -> tuple[MachineUse, ...]:
    """Every machine that the run had, with its hours and whether EC2 took it away."""
    return tuple(
        _machine_use(session.ec2.instance(attempt.instance_id), attempt, launch, records, clock)
        for attempt in launch.attempts
        if attempt.instance_id is not None
    )


def _machine_use(
    instance: Instance | None, attempt: Attempt, launch: Launch, records: Records, clock: Clock
) -> MachineUse:
    marker = records.read(Marker, records.paths.attempt(attempt.number).marker)
    marker = marker or records.marker()  # no machine of a run outlives it for long
    started = attempt.launched_at or launch.created_at
    reason = attempt.end_reason
    ended = clock.now()
    if marker is not None and (instance is None or instance.state in _OVER):
        # A machine that shut itself down leaves no time of its own in EC2; billing ends with
        # `shutting-down`, seconds after the agent's last word. An interrupted one waits for EC2.
        # Where the agent said nothing, the marker is from whoever first saw it gone. The deadline
        # says nothing here: whether the machine kept it is what the receipt is to show.
        waits = _NOTICE_S if marker.kind == "INTERRUPTED" else 0.0
        ended = min(ended, marker.at + waits + _SHUTDOWN_S)
    if instance is not None:
        started = instance.launched_at
        ended = instance.ended_at or ended
        reason = instance.reason
    ended = attempt.ended_at or ended
    return MachineUse(
        instance_type=attempt.instance_type or "",
        market=attempt.market,
        hours=max(ended - started, 0.0) / _HOUR_S,
        interrupted_by_ec2=reason == _TAKEN,
    )


def local_usage(launch: Launch, records: Records, clock: Clock) -> Usage:
    """A local run uses no cloud; its hours are told all the same."""
    marker = records.marker()
    ended = marker.at if marker is not None else clock.now()
    _, stored = records.stored_bytes()
    return Usage(
        instance_type=None,
        zone=None,
        market="local",
        hours=max(ended - launch.created_at, 0.0) / _HOUR_S,
        boot_hours=0.0,
        disk_gib=0,
        stored_bytes=stored,
        log_bytes=0,
        put_requests=0,
        get_requests=0,
    )


def _boot_hours(records: Records, attempt: Attempt) -> float:
    first = [event.at for event in records.events(attempt.number) if event.kind == "cell-started"]
    if not first or attempt.launched_at is None:
        return 0.0
    return max(first[0] - attempt.launched_at, 0.0) / _HOUR_S


def _disk_gib(request: Mapping[str, object]) -> int:
    """Root volume as the stored request asks for it."""
    configs = request.get("LaunchTemplateConfigs")
    if not isinstance(configs, list | tuple) or not configs:
        return 0
    mapping = configs[0]["Overrides"][0]["BlockDeviceMappings"][0]
    return int(mapping["Ebs"]["VolumeSize"])


def lost_work_s(records: Records, attempts: Sequence[int]) -> float:
    """Seconds of computing whose results no later attempt could go on from.

    Of every attempt but the last: from its last uploaded checkpoint, or where there is none from
    the beginning of its cell, to the end of that cell, or to the agent's last sign of life: beats
    are half a minute apart, and EC2 does not say when it took a machine.
    """
    lost = 0.0
    for number in attempts[:-1]:
        events = records.events(number)
        began = [item.at for item in events if item.kind == "cell-started"]
        if not began:
            continue
        ended = [item.at for item in events if item.kind == "cell-finished"]
        saved = [
            float(item.detail.get("taken_at", item.at))
            for item in events
            if item.kind == "checkpoint-committed"
        ]
        silent = max(events[-1].at, records.beat(number).get("at", 0.0))
        last = ended[-1] if len(ended) == len(began) else silent
        lost += max(last - max([began[-1], *saved]), 0.0)
    return lost


def _uploaded(records: Records, attempts: Sequence[int]) -> Counter[str]:
    """What the agents say they sent; an attempt that died before its end says nothing."""
    sent: Counter[str] = Counter()
    for number in attempts:
        told = [item.detail for item in records.events(number) if item.kind == "uploaded"]
        sent.update({key: int(value) for key, value in told[-1].items()} if told else {})
    return sent


def _counted(session: Session, operations: frozenset[str]) -> int:
    return sum(
        count
        for (service, operation), count in session.calls.items()
        if service == "s3" and operation in operations
    )
