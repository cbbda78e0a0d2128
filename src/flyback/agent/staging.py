"""Inputs that were fetched before are not fetched again: a cache by content.

It lies on the instance's own NVMe where the image has mounted one, else beside the runs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from flyback.store.protocol import Store

__all__ = ["NOTICE_S", "NVME", "Staging", "cache_folder", "gigabytes_in_notice"]

NVME = Path("/opt/dlami/nvme")
"""Where AWS Deep Learning AMIs mount instance store (AWS Deep Learning AMIs, "Instance store")."""
NOTICE_S = 120.0
"""From the interruption notice to the reclaim (Amazon EC2 User Guide, "Spot Instance
interruption notices")."""
_SHARE = 0.75
"""Of the notice that is left for uploads once the job has been told and has saved."""


def cache_folder(root: Path, nvme: Path = NVME) -> Path:
    """Where the cache lies: on NVMe that is mounted and may be written, else below `root`."""
    if nvme.is_mount() and os.access(nvme, os.W_OK):
        return nvme / "flyback-cache"
    return root / "cache"


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


class Staging:
    """Brings objects to their place, from the cache where it has them.

    Args:
        folder: The cache; made when first used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits = 0
        self.misses = 0

    def bring(self, store: Store, key: str, target: Path) -> None:
        """Put an object at `target`; the job may change that file, the cache keeps its own.

        An object is known by store, key and tag, so one that has changed is fetched.

        Raises:
            NotFoundError: there is no such key.
        """
        tag = store.stat(key).tag
        name = hashlib.sha256(f"{store.url}\0{key}\0{tag}".encode()).hexdigest()
        cached = self._folder / name[:2] / name
        if cached.is_file():
            self.hits += 1
        else:
            self.misses += 1
            store.get_file(key, cached)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached, target)
