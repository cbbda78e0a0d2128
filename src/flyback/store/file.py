"""A store in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flyback.errors import ConflictError, NotFoundError, ServiceError, UserError
from flyback.store.protocol import StoredObject

__all__ = ["FileStore"]


class FileStore:
    """Objects are files below `root`; each appears under its name only when whole."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = self.root.as_uri()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        target = self.path(key)
        temporary = self._temporary(target)
        try:
            temporary.write_bytes(data)
            self._commit(temporary, target, if_absent=if_absent)
        except OSError as error:
            raise ServiceError(f"{error}", where=f"{target}", remedy="free some disk") from error
        finally:
            temporary.unlink(missing_ok=True)

    def put_file(self, key: str, path: Path) -> None:
        target = self.path(key)
        temporary = self._temporary(target)
        try:
            shutil.copyfile(path, temporary)
            temporary.replace(target)
        except OSError as error:
            raise ServiceError(f"{error}", where=f"{target}", remedy="free some disk") from error
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        path = self.path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFoundError("no such object", where=f"{path}") from error

    def get_file(self, key: str, path: Path) -> None:
        source = self.path(key)
        if not source.is_file():
            raise NotFoundError("no such object", where=f"{source}")
        temporary = self._temporary(path)
        try:
            shutil.copyfile(source, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(_TEMPORARY):
                    continue
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if key.startswith(prefix):
                    found.append(StoredObject(key, path.stat().st_size))
        yield from sorted(found, key=lambda item: item.key)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """The file of a key.

        Raises:
            UserError: the key leads out of the store's folder.
        """
        path = self.root / key
        if not path.resolve().is_relative_to(self.root) or key.endswith("/"):
            raise UserError(f"the key {key!r} leaves its folder", where=self.url)
        return path

    @staticmethod
    def _temporary(target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=_TEMPORARY)
        os.close(handle)
        return Path(name)

    @staticmethod
    def _commit(temporary: Path, target: Path, *, if_absent: bool) -> None:
        if not if_absent:
            temporary.replace(target)
            return
        try:
            target.hardlink_to(temporary)  # fails where the name exists, in one step
        except FileExistsError as error:
            raise ConflictError("the object exists", where=f"{target}") from error


_TEMPORARY = ".flyback-part-"
