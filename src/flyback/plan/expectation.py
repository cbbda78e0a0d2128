"""What a run is expected to use, before anything was measured: stated, and easy to replace."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flyback.plan.prices import GB
from flyback.spec.job import JobSpec

__all__ = ["BOOT_MINUTES", "Expectation", "expect", "image_arch", "in_own_registry"]

BOOT_MINUTES = 3.0
"""From the launch to the job's first line; an assumption until this account has booted one."""

_SMOKE_MINUTES = 2.0
_MINUTES_PER_CELL = {"spectral": 2.0, "matmul": 2.0, "image": 2.0, "bandwidth": 1.0}
_MINUTES_UNKNOWN = 2.0  # a shipped workload without a hint
_IMAGE_BYTES = 6 * GB  # a CUDA runtime image; smaller ones cost less
_STORED_PER_CELL = 8 * 2**20  # raw samples are kept
_LOG_PER_CELL = 2**18
_PUTS_BESIDE_CELLS, _PUTS_PER_CELL, _PUTS_PER_MINUTE = 30, 3, 4  # heartbeat, events, log, results
_GETS = 40
_REGISTRY = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
_ARM = re.compile(r"\b(arm64|aarch64)\b")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the quote assumes.

    Args:
        run_minutes: From the job's first line to its end.
        boot_minutes: From the launch to the job's first line.
        stored_bytes: Left in the bucket, for a month.
        log_bytes: Sent to the log group.
        put_requests: S3 requests of the PUT, COPY, POST and LIST class.
        get_requests: S3 requests of the GET class.
        image_bytes: Container image kept in the account's own registry.
        root_gib: Root volume of the machine image, GiB: no smaller one can be bought. 0 where the
            image is not known yet.
        basis: A sentence for the reader: where `run_minutes` comes from.
    """

    run_minutes: float
    boot_minutes: float = BOOT_MINUTES
    stored_bytes: int = _STORED_PER_CELL
    log_bytes: int = _LOG_PER_CELL
    put_requests: int = _PUTS_BESIDE_CELLS
    get_requests: int = _GETS
    image_bytes: int = 0
    root_gib: int = 0
    basis: str = "as stated by the caller"

    @property
    def hours(self) -> float:
        """Boot and run together."""
        return (self.boot_minutes + self.run_minutes) / 60


def expect(job: JobSpec, *, smoke: bool = False) -> Expectation:
    """The default expectation of a job.

    A shipped workload takes a fixed time per cell of its sweep; a smoke run 2 minutes in all. Of
    any other command nothing is known, so it is expected to last until its `max_hours`.
    """
    cells = sum(1 for _ in job.cells())
    boot = 0.0 if job.engine == "local" else BOOT_MINUTES
    if smoke:
        minutes, basis = _SMOKE_MINUTES, f"a smoke run takes about {_SMOKE_MINUTES:g} min"
    elif job.workload is None:
        minutes = max(job.max_hours * 60 - boot, 0.0)
        basis = "nothing is known of a command's duration: quoted until max_hours"
    else:
        each = _MINUTES_PER_CELL.get(job.workload, _MINUTES_UNKNOWN)
        minutes = each * cells
        basis = f"{job.workload} takes about {each:g} min per cell, {cells} of them"
    return Expectation(
        run_minutes=minutes,
        boot_minutes=boot,
        stored_bytes=_STORED_PER_CELL * cells,
        log_bytes=_LOG_PER_CELL * cells,
        put_requests=_PUTS_BESIDE_CELLS
        + _PUTS_PER_CELL * cells
        + round(_PUTS_PER_MINUTE * (boot + minutes)),
        get_requests=_GETS,
        image_bytes=_IMAGE_BYTES if in_own_registry(job.image) else 0,
        basis=basis,
    )


def in_own_registry(image: str | None) -> bool:
    """Whether an image lies in ECR, whose storage the account pays for."""
    return image is not None and _REGISTRY.match(image) is not None


def image_arch(image: str | None) -> str:
    """Architecture that an image's name or tag tells; x86_64 where it says nothing."""
    return "arm64" if image is not None and _ARM.search(image.lower()) else "x86_64"
