"""Snapshots of folders, to see afterwards whether anything in them changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["changes", "snapshot"]

State = tuple[int, int, int]


def snapshot(folders: Iterable[Path], without: Iterable[Path] = ()) -> dict[str, State]:
    """Every file and folder below: size, mtime (ns) and inode by path.

    Args:
        folders: Where to look; one that does not exist is an empty one.
        without: Folders that may change, left out.
    """
    away = {str(folder) for folder in without}
    found: dict[str, State] = {}
    for folder in folders:
        for at, names, files in os.walk(folder):
            names[:] = [name for name in names if os.path.join(at, name) not in away]  # noqa: PTH118  # fast
            for path in (os.path.join(at, name) for name in (*names, *files)):  # noqa: PTH118  # as above
                try:
                    state = os.lstat(path)
                except FileNotFoundError:
                    continue
                found[path] = (state.st_size, state.st_mtime_ns, state.st_ino)
    return found


def changes(before: Mapping[str, State], after: Mapping[str, State]) -> list[str]:
    """Paths that came, went or differ."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
