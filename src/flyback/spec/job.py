"""JobSpec: what a person asks for."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flyback.spec.codec import encode

__all__ = ["Engine", "Input", "JobSpec", "Resources", "SpotPolicy"]

Engine = Literal["local", "ec2", "batch"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The machine that a job needs. Memory in GiB as EC2 counts it (2**30 bytes).

    Args:
        gpu: GPU model as EC2 names it (T4, A10G, L4, …); None takes any, or none with count 0.
        gpu_memory_gib: Memory that each GPU must have.
        count: GPUs; 0 asks for a machine without one.
        any_of: Instance types to choose among; empty means every type that fits.
        vcpus: Virtual CPUs, at least.
        memory_gib: Host memory, at least.
        disk_gib: Root volume.
    """

    gpu: str | None = None
    gpu_memory_gib: float | None = None
    count: int = 1
    any_of: tuple[str, ...] = ()
    vcpus: int | None = None
    memory_gib: float | None = None
    disk_gib: int = 50

    def bought_gib(self, image_gib: int) -> int:
        """The root volume that is bought, GiB: a volume is never smaller than its snapshot."""
        return max(self.disk_gib, image_gib)


@dataclass(frozen=True, kw_only=True)
class SpotPolicy:
    """N spot attempts, then on-demand or stop. `attempts` 0 goes on-demand at once."""

    attempts: int = 3
    then: Literal["on-demand", "stop"] = "stop"


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file or folder that the job reads, brought beside it before it starts.

    Args:
        source: A path on the user's machine, relative to the job file, or an s3:// URL.
        path: Where it appears, relative to the job's working directory.
    """

    source: str
    path: str


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One job: a shipped workload or any command, and the limits that it runs under.

    Args:
        name: Lower-case letters, digits and hyphens; run ids begin with it.
        workload: A registered workload's name; exactly one of `workload` and `command` is given.
        command: Program and arguments; its last output line may be a JSON result.
        parameters: The workload's parameters; a command reads them from `FLYBACK_PARAMETERS`.
        sweep: Parameter name → values; the product of all runs in sequence on one machine.
        workdir: Folder to take along, relative to the job file; files that git ignores stay.
        setup: Commands run in the working directory before the first cell, each a list.
        inputs: Files brought beside the job.
        outputs: Glob patterns, relative to the working directory, that come home.
        env: Environment of the job.
        secrets: Variable name → `ssm:/name` or `secretsmanager:name`, fetched on the machine.
        resources: The machine.
        image: Container image by digest; None runs on the machine image itself.
        requirements: Locked requirements file for a command, relative to the job file.
        max_hours: Deadline, hours after launch.
        max_usd: Spending limit, USD; becomes a deadline through the on-demand rate.
        stall_minutes: End the attempt after so many minutes without progress.
        spot: Spot policy.
        checkpoint_dir: Folder, relative to the working directory, that the agent keeps safe.
        engine: Where the job runs.
    """

    name: str
    workload: str | None = None
    command: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    workdir: str | None = None
    setup: tuple[tuple[str, ...], ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    image: str | None = None
    requirements: str | None = None
    max_hours: float = 1.0
    max_usd: float | None = None
    stall_minutes: float | None = None
    spot: SpotPolicy = field(default_factory=SpotPolicy)
    checkpoint_dir: str | None = None
    engine: Engine = "ec2"

    def cells(self) -> Iterator[dict[str, Any]]:
        """The parameters of every run of the sweep, in the order that they run."""
        names = list(self.sweep)
        for values in itertools.product(*(self.sweep[name] for name in names)):
            yield {**self.parameters, **dict(zip(names, values, strict=True))}

    def digest(self) -> str:
        """SHA-256 of the resolved job, hexadecimal: two equal jobs have equal digests."""
        text = json.dumps(encode(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()
