"""The cache of inputs, and what fits into the notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyback.agent.staging import Staging, cache_folder
from flyback.errors import NotFoundError
from flyback.store.memory import MemoryStore
from flyback.store.notice import gigabytes_in_notice


def test_an_input_is_fetched_once(tmp_path: Path) -> None:
    """Again from the cache, though the job changed its file; anew once the object changed."""
    store, target = MemoryStore("data"), tmp_path / "work" / "input"
    store.put("key", b"first")
    staging = Staging(tmp_path / "cache")
    staging.bring(store, "key", target)
    target.write_bytes(b"changed by the job")
    staging.bring(store, "key", target)
    assert target.read_bytes() == b"first"
    assert (staging.hits, staging.misses) == (1, 1)
    store.put("key", b"second")
    staging.bring(store, "key", target)
    assert target.read_bytes() == b"second"
    assert (staging.hits, staging.misses) == (1, 2)
    with pytest.raises(NotFoundError):
        staging.bring(store, "nothing", target)


def test_the_cache_lies_beside_the_runs_without_nvme(tmp_path: Path) -> None:
    """A folder that is no mount is the root disk, and that is where the runs are anyway."""
    (tmp_path / "nvme").mkdir()
    assert cache_folder(tmp_path / "root", tmp_path / "nvme") == tmp_path / "root" / "cache"
    assert cache_folder(tmp_path / "root", tmp_path / "none") == tmp_path / "root" / "cache"


def test_what_fits_into_the_notice() -> None:
    """10 Gbit/s for 90 of the 120 s are 112.5 GB; a gp3 disk at 125 MB/s lets 11.25 GB through."""
    assert gigabytes_in_notice(10.0) == pytest.approx(112.5)
    assert gigabytes_in_notice(10.0, disk_mb_s=125.0) == pytest.approx(11.25)
