"""Inputs that were fetched before are not fetched again: a cache by content.

It lies on the instance's own NVMe where the image has mounted one, else beside the runs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from flyback.store.protocol import Store

__all__ = ["NVME", "Staging", "cache_folder"]

NVME = Path("/opt/dlami/nvme")
"""Where AWS Deep Learning AMIs mount instance store (AWS Deep Learning AMIs, "Instance store")."""


def cache_folder(root: Path, nvme: Path = NVME) -> Path:
    """Where the cache lies: on NVMe that is mounted and may be written, else below `root`."""
    if nvme.is_mount() and os.access(nvme, os.W_OK):
        return nvme / "flyback-cache"
    return root / "cache"


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
        self._bring(store, key, store.stat(key).tag, target)

    def bring_hashed(self, store: Store, key: str, target: Path) -> None:
        """The same for an object whose key names its content, so that nothing needs to be asked.

        Raises:
            NotFoundError: there is no such key.
        """
        self._bring(store, key, "", target)

    def _bring(self, store: Store, key: str, tag: str, target: Path) -> None:
        name = hashlib.sha256(f"{store.url}\0{key}\0{tag}".encode()).hexdigest()
        cached = self._folder / name[:2] / name
        if cached.is_file():
            self.hits += 1
        else:
            self.misses += 1
            store.get_file(key, cached)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached, target)
