"""How a file arrives: beside its name, flushed to disk, then renamed in one step.

The part's name follows from the file's, so that an attempt which was killed leaves at most one,
and the next attempt takes it over. A lock on it keeps two writers apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PART_PREFIX", "landing", "part_of", "write_all"]

PART_PREFIX = ".flyback-part-"


def part_of(target: Path) -> Path:
    """Where the bytes of `target` gather."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:20]
    return target.with_name(PART_PREFIX + name)


@contextlib.contextmanager
def landing(target: Path, *, keep: bool = False, wait: bool = False) -> Iterator[tuple[int, Path]]:
    """A descriptor to write to; when the block ends well, the file has its name.

    The block may have linked or renamed the part itself. When the block raises, the part is
    removed.

    Args:
        target: The file; its folder is made.
        keep: Leave what an earlier attempt wrote in the part, and leave it there on failure.
        wait: Wait for another writer of the same file; else use a part of another name.
    """
    part = part_of(target)
    try:
        descriptor, opened = _open(part, wait=wait)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, opened = _open(part, wait=wait)
    keep = keep and part is opened  # a part of another name is found by nobody
    part = opened
    try:
        if not keep and os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
        yield descriptor, part
        os.fsync(descriptor)
        linked = os.fstat(descriptor).st_nlink > 1
        os.replace(part, target)  # noqa: PTH105  # once for each of many small files
        if linked:  # the block did, and then renaming one name to the other does nothing
            part.unlink(missing_ok=True)
    except BaseException:
        if not keep:
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write everything at an offset; a full disk is an `OSError`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _open(part: Path, *, wait: bool) -> tuple[int, Path]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    while True:
        descriptor = os.open(part, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:  # somebody else is writing the same file, or there are no locks here
            os.close(descriptor)
            handle, name = tempfile.mkstemp(dir=part.parent, prefix=PART_PREFIX)
            os.fchmod(handle, 0o666 & ~_umask())
            return handle, Path(name)
        if _is_free(descriptor, part):
            return descriptor, part
        os.close(descriptor)


def _is_free(descriptor: int, part: Path) -> bool:
    """Whether the part is nobody's file yet.

    It is somebody's where it was renamed before we had the lock, or where a writer was killed
    after linking it to its final name.
    """
    try:
        found = os.lstat(part)
    except FileNotFoundError:
        return False
    if not os.path.samestat(os.fstat(descriptor), found):
        return False
    if found.st_nlink > 1:
        part.unlink(missing_ok=True)
        return False
    return True


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
