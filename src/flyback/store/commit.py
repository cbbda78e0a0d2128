"""Many files that appear at once: the manifest is written last, and only what it lists counts.

    <prefix>/<name>          the files, never changed once the manifest is there
    <prefix>/manifest.json   name, size, CRC-32 of each; created with If-None-Match

Files start to travel the moment they are added, while the next one is still being made.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from flyback.errors import ConflictError, NotFoundError, ServiceError, UserError
from flyback.spec.codec import dumps, loads
from flyback.store.keys import file_of
from flyback.store.protocol import Store

__all__ = ["MANIFEST", "Commit", "Entry", "Manifest", "fetch", "latest", "manifest_of", "prune"]

MANIFEST = "manifest.json"
_THREADS = 4  # files at once; each large one travels in parts of its own
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a commit: bytes and CRC-32."""

    size: int
    crc32: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What belongs to a commit."""

    files: Mapping[str, Entry]


class Commit:
    """A set of files on its way; leaving the block without an error commits it.

    Args:
        store: Where to.
        prefix: Below which key, without a slash at its end; a new one for each commit.

    Raises:
        ConflictError: on leaving the block: something else is committed there.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._executor = ThreadPoolExecutor(_THREADS, "flyback-commit")
        self._files: dict[str, Future[Entry]] = {}

    def __enter__(self) -> Self:
        return self

    def add(self, name: str, path: Path) -> None:
        """Start to upload a file that is complete; it must stay as it is until the block ends.

        Raises:
            UserError: the name was added before, or is no name.
        """
        file_of(Path("/"), name, self._prefix)
        if name in self._files or name == MANIFEST:
            raise UserError(f"{name} is in this commit already", where=self._prefix)
        self._files[name] = self._executor.submit(self._upload, name, path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abandon()
            return
        self.finish()

    def gather(self) -> None:
        """Wait until every file that was added is there.

        Raises:
            FlybackError: one cannot be brought there.
        """
        for future in self._files.values():
            future.result()

    def finish(self) -> None:
        """Wait for the files, then commit them.

        Raises:
            ConflictError: something else is committed there.
            FlybackError: a file cannot be brought there.
        """
        try:
            entries = {name: future.result() for name, future in self._files.items()}
        finally:
            self._executor.shutdown(cancel_futures=True)
        self._finish(Manifest(files=entries))

    def abandon(self) -> None:
        """Start no further upload; what is there without a manifest counts for nothing."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _upload(self, name: str, path: Path) -> Entry:
        before = _entry(path)
        self._store.put_file(f"{self._prefix}/{name}", path)
        if path.stat().st_size != before.size:
            raise ServiceError("the file changed while it was read", where=f"{path}")
        return before

    def _finish(self, manifest: Manifest) -> None:
        key, data = f"{self._prefix}/{MANIFEST}", dumps(manifest).encode()
        try:
            self._store.put(key, data, if_absent=True)
        except ConflictError:
            # ours, where only the answer to an earlier try was lost
            if self._store.get(key) != data:
                raise


def manifest_of(store: Store, prefix: str) -> Manifest:
    """What is committed at a prefix.

    Raises:
        NotFoundError: nothing is: there is no manifest, or none that can be read.
    """
    key = f"{prefix}/{MANIFEST}"
    try:
        return loads(Manifest, store.get(key))
    except ValueError as error:
        raise NotFoundError(f"no manifest: {error}", where=f"{store.url}/{key}") from error


def latest(store: Store, prefix: str) -> Iterator[str]:
    """Prefixes of the commits below a prefix, the newest first, by the numbers in their names."""
    end = f"/{MANIFEST}"
    found = {item.key.removesuffix(end) for item in store.list(f"{prefix}/") if _is_end(item.key)}
    yield from sorted(found, key=_in_order, reverse=True)


def fetch(store: Store, prefix: str, folder: Path) -> Manifest:
    """Download a commit; `folder` appears whole and verified, or not at all.

    Raises:
        NotFoundError: nothing is committed there.
        ServiceError: a file is not what the manifest says.
        UserError: the folder exists.
    """
    manifest = manifest_of(store, prefix)
    if folder.exists():
        raise UserError("the folder exists", where=f"{folder}", remedy="name a new one")
    gathering = folder.with_name(f".{folder.name}.part").resolve()
    with ThreadPoolExecutor(_THREADS, "flyback-fetch") as executor:
        tasks = [
            executor.submit(_fetch, store, f"{prefix}/{name}", file_of(gathering, name, prefix), e)
            for name, e in manifest.files.items()
        ]
        for task in tasks:
            task.result()
    gathering.mkdir(parents=True, exist_ok=True)
    gathering.rename(folder)
    return manifest


def prune(store: Store, prefix: str, keep: int) -> list[str]:
    """Remove all but the newest commits, each by its manifest first; the prefixes removed."""
    old = list(latest(store, prefix))[max(keep, 1) :]
    for commit in old:
        names = [item.key for item in store.list(f"{commit}/")]
        for key in sorted(names, key=lambda key: not key.endswith(f"/{MANIFEST}")):
            store.delete(key)
    return old


def _is_end(key: str) -> bool:
    return key.endswith(f"/{MANIFEST}")


def _in_order(prefix: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(number) for number in _NUMBER.findall(prefix)), prefix


def _fetch(store: Store, key: str, path: Path, entry: Entry) -> None:
    with contextlib.suppress(OSError):
        if _entry(path) == entry:
            return  # an earlier attempt brought it
    store.get_file(key, path)
    if _entry(path) != entry:
        path.unlink()
        raise ServiceError("the file is not what the manifest says", where=f"{store.url}/{key}")


def _entry(path: Path) -> Entry:
    size = checksum = 0
    with path.open("rb") as file:
        for piece in iter(functools.partial(os.read, file.fileno(), 1 << 20), b""):
            checksum = zlib.crc32(piece, checksum)
            size += len(piece)
    return Entry(size=size, crc32=checksum)
