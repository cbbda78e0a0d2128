"""Receipt: what a run cost, item by item, beside what was quoted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CostLine", "Receipt", "Usage"]


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """Quantity times unit price; both carry their unit and the price its source.

    Args:
        item: What is paid for.
        quantity: In `unit`.
        unit: Hours, GB-months, GB, thousand requests, …
        unit_usd: Price of one unit.
        usd: `quantity` times `unit_usd`.
        source: Where the price comes from, with its date.
    """

    item: str
    quantity: float
    unit: str
    unit_usd: float
    usd: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run used, as measured.

    Args:
        instance_type: None on the local engine.
        zone: Availability zone.
        market: `spot`, `on-demand` or `local`.
        hours: From launch to the end of the instance, boot included.
        boot_hours: Part of `hours` before the job's first line.
        disk_gib: Root volume, GiB.
        stored_bytes: Bytes under the run's prefix.
        log_bytes: Bytes sent to the log group.
        put_requests: S3 requests of the PUT, COPY, POST and LIST class.
        get_requests: S3 requests of the GET class.
        image_bytes: Container image kept in the registry for this run.
        public_address: Whether the machine had a public IPv4 address.
        lost_work_s: Seconds of computing that interruptions cost: done after the last checkpoint
            that a later attempt could go on from.
    """

    instance_type: str | None
    zone: str | None
    market: str
    hours: float
    boot_hours: float
    disk_gib: int
    stored_bytes: int
    log_bytes: int
    put_requests: int
    get_requests: int
    image_bytes: int = 0
    public_address: bool = True
    lost_work_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one run cost. Prices are list prices, before tax, credits and free tiers."""

    run_id: str
    currency: str
    region: str
    usage: Usage
    lines: tuple[CostLine, ...]
    total_usd: float
    quote: tuple[CostLine, ...]
    quote_usd: float
    rehearsed: bool
