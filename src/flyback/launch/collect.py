"""Bring a run's files home, under the names that they have in the bucket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flyback.launch.progress import Report, silent
from flyback.launch.records import Records
from flyback.store.file import FileStore

__all__ = ["AT_ONCE", "collect"]

AT_ONCE = 8


def collect(
    records: Records, local: FileStore, report: Report = silent, *, at_once: int = AT_ONCE
) -> int:
    """Download every object of the run; the number of files now at home.

    Each appears whole under its name; what is here already is replaced by the bucket's.

    Args:
        records: The run's.
        local: Home.
        report: Told at the end.
        at_once: Downloads at one time.
    """
    found = list(records.remote.list(f"{records.paths.prefix}/"))

    def fetch(key: str) -> None:
        records.remote.get_file(key, local.path(key))

    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(fetch, item.key) for item in found]:
            done.result()
    size = sum(item.size for item in found) / 1e6
    report("collect", f"{len(found)} files, {size:.2f} MB, in {local.root / records.paths.prefix}")
    return len(found)
