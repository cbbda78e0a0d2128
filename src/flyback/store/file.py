"""A store in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from flyback.errors import ConflictError, NotFoundError, ServiceError
from flyback.store.keys import file_of
from flyback.store.landing import PART_PREFIX, landing, write_all
from flyback.store.protocol import StoredObject

__all__ = ["FileStore"]

_PIECE = 1 << 18
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class FileStore:
    """Objects are files below `root`; each appears under its name only when whole."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = self.root.as_uri()
        self._inside: set[str] = set()

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        target = self.path(key)
        with self._written(target), landing(target, wait=True) as (descriptor, part):
            write_all(descriptor, data, 0)
            if if_absent:
                self._claim(descriptor, part, target)
            elif if_tag is not None and self._tag_or_none(target) != if_tag:
                raise ConflictError("the object has changed", where=f"{target}")
        return _tag(target.stat())

    def put_file(self, key: str, path: Path) -> str:
        target = self.path(key)
        with self._written(target):
            _copy(path, target, wait=True)
        return _tag(target.stat())

    def get(self, key: str) -> bytes:
        path = self.path(key)
        with _found(path):
            return path.read_bytes()

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        path = self.path(key)
        with _found(path), path.open("rb") as file:
            if tag is not None and _tag(os.fstat(file.fileno())) != tag:
                raise ConflictError("the object has changed", where=f"{path}")
            file.seek(start)
            return file.read(length)

    def get_file(self, key: str, path: Path) -> None:
        source = self.path(key)
        if not source.is_file():
            raise NotFoundError("no such object", where=f"{source}")
        with self._written(path):
            _copy(source, path, wait=False)

    def stat(self, key: str) -> StoredObject:
        path = self.path(key)
        if not path.is_file():
            raise NotFoundError("no such object", where=f"{path}")
        return _described(key, path.stat())

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        start = self.root / prefix.rpartition("/")[0]
        if not start.resolve().is_relative_to(self.root):
            return
        skip = len(os.fspath(self.root)) + 1
        for path, entry in sorted(_files(os.fspath(start))):
            key = path[skip:].replace(os.sep, "/")
            if key.startswith(prefix):
                yield _described(key, entry)

    def delete(self, key: str) -> None:
        with contextlib.suppress(*_ABSENT):
            self.path(key).unlink()

    def path(self, key: str) -> Path:
        """The file of a key.

        Raises:
            UserError: the key leads out of the store's folder.
        """
        return file_of(self.root, key, self.url, self._inside)

    @staticmethod
    def _tag_or_none(target: Path) -> str | None:
        try:
            return _tag(target.stat())
        except _ABSENT:
            return None

    @staticmethod
    def _claim(descriptor: int, part: Path, target: Path) -> None:
        """Take the name if it is free, in one step."""
        os.fsync(descriptor)
        try:
            target.hardlink_to(part)
        except FileExistsError as error:
            raise ConflictError("the object exists", where=f"{target}") from error

    @staticmethod
    @contextlib.contextmanager
    def _written(target: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ServiceError(f"{error}", where=f"{target}", remedy="free some disk") from error


@contextlib.contextmanager
def _found(path: Path) -> Iterator[None]:
    try:
        yield
    except _ABSENT as error:
        raise NotFoundError("no such object", where=f"{path}") from error


def _copy(source: Path, target: Path, *, wait: bool) -> None:
    with source.open("rb") as file, landing(target, wait=wait) as (descriptor, _):
        offset = 0
        while piece := file.read(_PIECE):
            write_all(descriptor, piece, offset)
            offset += len(piece)


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files below a folder, links to files included, parts left out."""
    folders = [folder]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except _ABSENT:
            continue
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file() and not entry.name.startswith(PART_PREFIX):
                    yield entry.path, entry.stat()


def _described(key: str, entry: os.stat_result) -> StoredObject:
    return StoredObject(key, entry.st_size, _tag(entry), entry.st_mtime)


def _tag(entry: os.stat_result) -> str:
    return f"{entry.st_ino:x}-{entry.st_mtime_ns:x}-{entry.st_size:x}"
