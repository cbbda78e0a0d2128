"""A store in this process, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from flyback.errors import ConflictError, NotFoundError
from flyback.spec.codec import write_atomic
from flyback.store.protocol import StoredObject

__all__ = ["MemoryStore"]


class MemoryStore:
    """Objects in a dictionary."""

    _named: ClassVar[dict[str, MemoryStore]] = {}

    def __init__(self, name: str = "") -> None:
        self.url = f"memory://{name}"
        self._objects: dict[str, bytes] = {}

    @classmethod
    def named(cls, name: str) -> MemoryStore:
        """The one store of that name in this process."""
        return cls._named.setdefault(name, cls(name))

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if if_absent and key in self._objects:
            raise ConflictError("the object exists", where=f"{self.url}/{key}")
        self._objects[key] = bytes(data)

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def get(self, key: str) -> bytes:
        try:
            return self._objects[key]
        except KeyError as error:
            raise NotFoundError("no such object", where=f"{self.url}/{key}") from error

    def get_file(self, key: str, path: Path) -> None:
        write_atomic(path, self.get(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield StoredObject(key, len(self._objects[key]))

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)
