"""Plan: what will be asked of the cloud, and what it should cost."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.spec.job import JobSpec
from flyback.spec.receipt import CostLine

__all__ = ["Candidate", "Plan", "Rejection"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One instance type in one region that can run the job, priced.

    Args:
        zones: Availability-zone names that offer it.
        spot_usd_hour: Typical spot price; None where no figure is known.
        on_demand_usd_hour: None where no figure is known.
        price_source: Source and date of the prices.
        network_gbps: Sustained bandwidth, Gbit/s; None where no figure is known.
    """

    instance_type: str
    zones: tuple[str, ...]
    spot_usd_hour: float | None
    on_demand_usd_hour: float | None
    price_source: str
    gpu: str | None
    gpu_count: int
    vcpus: int
    memory_gib: float
    network_gbps: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """An instance type that was considered and why it lost."""

    instance_type: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A frozen decision: executors act on it, a dry run prints it.

    Args:
        job: The resolved job.
        job_digest: `JobSpec.digest` of it.
        region: AWS region.
        market: What the first attempt asks for.
        candidates: Best first; empty for the local engine.
        rejections: Types that were named or near and did not fit.
        deadline_hours: Hours after launch at which everything ends.
        deadline_reason: Which limit binds (`max_hours` or `max_usd`).
        expected_hours: Hours that the quote assumes, boot included.
        quote: Itemised, for `expected_hours`.
        quote_usd: Sum of `quote`.
        ceiling_usd: Cost if the run lasts to its deadline at the on-demand rate.
        root_gib: Root volume of the machine image, GiB, which is bought where the job asks for
            less; 0 where the image is not known yet.
    """

    job: JobSpec
    job_digest: str
    region: str
    market: str
    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    deadline_hours: float
    deadline_reason: str
    expected_hours: float
    quote: tuple[CostLine, ...]
    quote_usd: float
    ceiling_usd: float
    root_gib: int = 0
