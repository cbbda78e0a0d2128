"""Launch: what was asked of the cloud, written down before it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyback.spec.job import JobSpec

__all__ = ["Attempt", "Launch", "Place", "Refusal"]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a try gave no machine, in one pool or altogether.

    Args:
        kind: In one word: `capacity`, `price`, `quota`, `permission`, `credentials`, `account`,
            `image`, `network`, ….
        code: The service's error code; empty where flyback knew beforehand.
        message: The service's sentence, or ours.
        instance_type: Of the pool; empty where it was not about one.
        zone: Availability zone of the pool; empty where it was not about one.
    """

    kind: str
    code: str
    message: str
    instance_type: str = ""
    zone: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at a machine.

    Args:
        number: Counts from 1.
        token: Client token of the request (at most 64 ASCII characters).
        market: `spot`, `on-demand` or `local`.
        request: The stored request, replayed verbatim.
        instance_id: Known once the request was answered.
        instance_type: As granted.
        zone: Availability zone as granted.
        launched_at: Seconds since the epoch.
        region: AWS region that was asked; empty on the local engine.
        asked_at: Seconds since the epoch, of the last time; None where it was not asked yet.
        refusals: What gave no machine, and why; also beside a machine that another pool gave.
        ended_at: When its machine ended, where somebody looked before EC2 forgot it.
        end_reason: EC2's StateReason code then.
    """

    number: int
    token: str
    market: str
    request: Mapping[str, Any] = field(default_factory=dict)
    instance_id: str | None = None
    instance_type: str | None = None
    zone: str | None = None
    launched_at: float | None = None
    region: str = ""
    asked_at: float | None = None
    refusals: tuple[Refusal, ...] = ()
    ended_at: float | None = None
    end_reason: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether EC2's answer is known: a machine, or a refusal with a code of its own.

        One that was stored and is not answered may have made a machine that nobody has seen.
        """
        return self.instance_id is not None or any(refusal.code for refusal in self.refusals)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a deployment keeps its schedules, and who acts for them.

    Args:
        group: Schedule group.
        terminate_role: ARN of the role that may terminate the deployment's machines.
        guardian: ARN of the guardian; empty where only machines are armed.
        invoke_role: ARN of the role that may invoke the guardian.
    """

    group: str
    terminate_role: str
    guardian: str = ""
    invoke_role: str = ""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All that the agent and the guardian need to know of a run.

    Args:
        run_id: Also the name of its folder and its S3 prefix.
        job: The resolved job.
        engine: `local`, `ec2` or `batch`.
        region: AWS region; empty on the local engine.
        store: URL under which `runs/<run_id>/` lies: `s3://bucket` or `file:///folder`.
        log_group: CloudWatch Logs group; empty on the local engine.
        image_id: AMI, pinned; empty on the local engine.
        image_parameter: SSM parameter that the AMI was read from.
        bundle_sha256: Agent bundle; the machine runs nothing else of ours.
        workdir_sha256: Archive of the working directory, or None.
        created_at: Seconds since the epoch.
        deadline: Seconds since the epoch; nothing bills past it.
        attempts: In order; the last one is current.
        rehearsed: Whether the account is an emulated one.
        public_address: Whether its machines have a public IPv4 address.
        place: Where its schedules are; None on the local engine.
        network_gbps: Instance type → sustained bandwidth, Gbit/s, of those that were asked for.
    """

    run_id: str
    job: JobSpec
    engine: str
    region: str
    store: str
    log_group: str
    image_id: str
    image_parameter: str
    bundle_sha256: str
    workdir_sha256: str | None
    created_at: float
    deadline: float
    attempts: tuple[Attempt, ...] = ()
    rehearsed: bool = False
    public_address: bool = True
    place: Place | None = None
    network_gbps: Mapping[str, float] = field(default_factory=dict)
