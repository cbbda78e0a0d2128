"""What a run used, from what the cloud says of it."""

from __future__ import annotations

from collections.abc import Mapping

from flyback.aws.session import Session
from flyback.errors import NotFoundError
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.launch import Launch
from flyback.spec.receipt import Usage

__all__ = ["cloud_usage", "local_usage"]

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
_AGENT_GETS = 3  # bundle, launch.json, working directory
_HOUR_S = 3600.0


def cloud_usage(session: Session, launch: Launch, records: Records, clock: Clock) -> Usage:
    """Machine hours from EC2's own times; bytes from the bucket; requests as counted.

    The client's S3 requests are counted here; the agent's are one PUT per stored object and three
    GETs.
    """
    attempt = launch.attempts[-1]
    instance = session.ec2.instance(attempt.instance_id or "")
    started = attempt.launched_at or launch.created_at
    ended = clock.now()
    if instance is not None:
        started = instance.launched_at
        ended = instance.ended_at or ended
    objects, stored = records.stored_bytes()
    return Usage(
        instance_type=attempt.instance_type,
        zone=attempt.zone,
        market=attempt.market,
        hours=max(ended - started, 0.0) / _HOUR_S,
        boot_hours=_boot_hours(records, attempt.number, started),
        disk_gib=_disk_gib(attempt.request),
        stored_bytes=stored,
        log_bytes=_log_bytes(records, attempt.number),
        put_requests=objects + _counted(session, _PUT_CLASS),
        get_requests=_AGENT_GETS + _counted(session, _GET_CLASS),
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


def _boot_hours(records: Records, attempt: int, started: float) -> float:
    first = [event.at for event in records.events(attempt) if event.kind == "cell-started"]
    return max(first[0] - started, 0.0) / _HOUR_S if first else 0.0


def _disk_gib(request: Mapping[str, object]) -> int:
    """Root volume as the stored request asks for it."""
    configs = request.get("LaunchTemplateConfigs")
    if not isinstance(configs, list | tuple) or not configs:
        return 0
    mapping = configs[0]["Overrides"][0]["BlockDeviceMappings"][0]
    return int(mapping["Ebs"]["VolumeSize"])


def _log_bytes(records: Records, attempt: int) -> int:
    try:
        return len(records.remote.get(records.paths.attempt(attempt).log))
    except NotFoundError:
        return 0


def _counted(session: Session, operations: frozenset[str]) -> int:
    return sum(
        count
        for (service, operation), count in session.calls.items()
        if service == "s3" and operation in operations
    )
