"""What fits between a spot interruption notice and the reclaim."""

from __future__ import annotations

__all__ = ["NOTICE_S", "gigabytes_in_notice"]

NOTICE_S = 120.0
"""From the interruption notice to the reclaim (Amazon EC2 User Guide, "Spot Instance
interruption notices")."""
_SHARE = 0.75
"""Of the notice that is left for uploads once the job has been told and has saved."""


def gigabytes_in_notice(network_gbps: float, disk_mb_s: float | None = None) -> float:
    """GB (10**9 bytes) that can be uploaded between notice and reclaim.

    network_gbps / 8 x 120 s x 0.75, or less where the disk reads no faster. A bound, not a
    promise: one connection to S3 carries less than the network, and the type's figure may be a
    burst.

    Args:
        network_gbps: Sustained bandwidth of the instance type, Gbit/s.
        disk_mb_s: What its disk reads, MB/s; None where that is no limit.
    """
    rate_gb_s = network_gbps / 8
    if disk_mb_s is not None:
        rate_gb_s = min(rate_gb_s, disk_mb_s / 1000)
    return rate_gb_s * NOTICE_S * _SHARE
