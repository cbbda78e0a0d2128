"""Files of one JSON document per line, written by several processes at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, TypeVar

from flyback.spec.codec import dumps, loads

__all__ = ["append_line", "read_lines"]

T = TypeVar("T")


def append_line(path: Path, value: Any) -> None:
    """Add one document; other writers' lines stay whole, and this one is on disk afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (dumps(value) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        written = 0
        while written < len(line):
            written += os.write(handle, line[written:])
        os.fsync(handle)
    finally:
        os.close(handle)


def read_lines(kind: type[T], path: Path) -> list[T]:
    """Every document of a file, in the order that they were written.

    Raises:
        ValueError: a line is not of that kind; the message names file and line.
        OSError: the file can't be read.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(loads(kind, line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return found
