"""Making one place like another: decide from two listings what to copy, then copy it.

As the AWS CLI and s5cmd decide: an object is copied where it is missing, has another size, or is
older than its source; with `checksum`, where its content differs.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flyback.errors import UserError
from flyback.store.file import FileStore
from flyback.store.meter import Meter, Progress
from flyback.store.open import open_place
from flyback.store.protocol import Store, StoredObject
from flyback.store.s3 import S3Store
from flyback.store.transfer import THREADS, each

__all__ = ["SyncPlan", "plan_sync", "run_sync", "sync"]

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_AT_ONCE = 1 << 23  # bytes read at once where contents are compared


@dataclass(frozen=True)
class SyncPlan:
    """What a sync would do.

    Args:
        copies: Objects of the source to copy.
        deletes: Keys of the target that the source has not.
        unchanged: Objects that are the same already.
    """

    copies: tuple[StoredObject, ...]
    deletes: tuple[str, ...]
    unchanged: int

    @property
    def bytes(self) -> int:
        """Bytes to copy."""
        return sum(item.size for item in self.copies)


def sync(
    source: str,
    target: str,
    *,
    delete: bool = False,
    checksum: bool = False,
    dry_run: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> SyncPlan:
    """Make `target` like `source`; what was done, or would be.

    Args:
        source: A folder, or a URL: `s3://bucket/prefix`, `file:///folder`.
        target: The same.
        delete: Also remove from the target what the source has not.
        checksum: Compare contents where sizes agree, instead of times.
        dry_run: Only decide.
        report: Told of progress.

    Raises:
        UserError: a place is none, the source is empty and `delete` is asked for, or a key can be
            no file.
        RefusedError: S3 said no, or a file cannot be written.
    """
    origin, goal = open_place(source), open_place(target)
    if isinstance(origin, FileStore) and not origin.root.is_dir():
        raise UserError("there is no such folder", where=source)
    plan = plan_sync(origin, goal, delete=delete, checksum=checksum)
    if delete and plan.deletes and not plan.copies and not plan.unchanged:
        raise UserError(
            "the source is empty, and --delete would empty the target",
            where=source,
            remedy="check the source; remove the target by hand if that is what you want",
        )
    if not dry_run:
        run_sync(plan, origin, goal, Meter(report=report))
    return plan


def plan_sync(
    source: Store, target: Store, *, delete: bool = False, checksum: bool = False
) -> SyncPlan:
    """Decide; nothing is written.

    Args:
        source: Where from.
        target: Where to.
        delete: Also remove from the target what the source has not.
        checksum: Compare contents where sizes agree, instead of times.

    Raises:
        UserError: a key of the source can be no file of the target.
    """
    there = {item.key: item for item in target.list()}
    copies, unchanged = [], 0
    for item in source.list():
        if item.key.endswith("/") and not item.size:
            continue  # what consoles leave to show a folder
        held = there.pop(item.key, None)
        if held is not None and _same(source, target, item, held, checksum=checksum):
            unchanged += 1
            continue
        if isinstance(target, FileStore):
            target.path(item.key)  # may it be a file at all
        copies.append(item)
    return SyncPlan(tuple(copies), tuple(sorted(there)) if delete else (), unchanged)


def run_sync(
    plan: SyncPlan, source: Store, target: Store, meter: Meter, threads: int = THREADS
) -> None:
    """Act. Objects are deleted after all copies have arrived.

    Raises:
        FlybackError: a copy failed; those that arrived stay, and a repetition does the rest.
    """
    meter.expect(len(plan.copies), plan.bytes)
    counts = False
    for store in (source, target):
        if isinstance(store, S3Store):
            store.meter, counts = meter, True
    copy = _way(source, target)

    def move(item: StoredObject) -> None:
        meter.check()
        copy(item)
        if not counts:
            meter.add(item.size)

    each((functools.partial(move, item) for item in plan.copies), meter, threads)
    each((functools.partial(target.delete, key) for key in plan.deletes), Meter(), threads)


def _way(source: Store, target: Store) -> Callable[[StoredObject], object]:
    if isinstance(source, FileStore):
        return lambda item: target.put_file(item.key, source.path(item.key))
    if isinstance(target, FileStore) and isinstance(source, S3Store):
        return lambda item: source.get_file(item.key, target.path(item.key), listed=item)
    if isinstance(target, FileStore):
        return lambda item: source.get_file(item.key, target.path(item.key))

    def through_a_file(item: StoredObject) -> None:
        with tempfile.TemporaryDirectory(prefix="flyback-") as folder:
            path = Path(folder, "object")
            source.get_file(item.key, path)
            target.put_file(item.key, path)

    return through_a_file


def _same(
    source: Store, target: Store, item: StoredObject, held: StoredObject, *, checksum: bool
) -> bool:
    if item.size != held.size:
        return False
    if not checksum:
        return held.modified >= item.modified
    return _digest(source, item) == _digest(target, held)


def _digest(store: Store, item: StoredObject) -> str:
    """MD5 of the content: S3's own where it is one, else computed."""
    match = _MD5.fullmatch(item.tag) if isinstance(store, S3Store) else None
    if match is not None:
        return match[1]
    digest = hashlib.md5(usedforsecurity=False)
    for data in _pieces(store, item):
        digest.update(data)
    return digest.hexdigest()


def _pieces(store: Store, item: StoredObject) -> Iterator[bytes]:
    for start in range(0, item.size, _AT_ONCE):
        data = store.get_range(item.key, start, _AT_ONCE, tag=item.tag)
        if not data:
            raise UserError("the object became shorter", where=f"{store.url}/{item.key}")
        yield data
