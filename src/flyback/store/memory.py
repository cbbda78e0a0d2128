"""A store in this process, for tests."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flyback.errors import ConflictError, NotFoundError
from flyback.spec.codec import write_atomic
from flyback.store.keys import check_key
from flyback.store.protocol import StoredObject

__all__ = ["MemoryStore"]


@dataclass(frozen=True)
class _Held:
    data: bytes
    tag: str
    modified: float


class MemoryStore:
    """Objects in a dictionary."""

    _named: ClassVar[dict[str, MemoryStore]] = {}

    def __init__(self, name: str = "") -> None:
        self.url = f"memory://{name}"
        self._objects: dict[str, _Held] = {}
        self._serial = itertools.count(1)
        self._lock = threading.Lock()

    @classmethod
    def named(cls, name: str) -> MemoryStore:
        """The one store of that name in this process."""
        return cls._named.setdefault(name, cls(name))

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        check_key(key, self.url)
        with self._lock:
            held = self._objects.get(key)
            if if_absent and held is not None:
                raise ConflictError("the object exists", where=f"{self.url}/{key}")
            if if_tag is not None and (held is None or held.tag != if_tag):
                raise ConflictError("the object has changed", where=f"{self.url}/{key}")
            tag = f"{next(self._serial)}"
            self._objects[key] = _Held(bytes(data), tag, time.time())
        return tag

    def put_file(self, key: str, path: Path) -> str:
        return self.put(key, path.read_bytes())

    def get(self, key: str) -> bytes:
        return self._held(key).data

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        held = self._held(key)
        if tag is not None and held.tag != tag:
            raise ConflictError("the object has changed", where=f"{self.url}/{key}")
        return held.data[start : start + length]

    def get_file(self, key: str, path: Path) -> None:
        write_atomic(path, self.get(key))

    def stat(self, key: str) -> StoredObject:
        return self._described(key, self._held(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield self._described(key, self._objects[key])

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def _held(self, key: str) -> _Held:
        try:
            return self._objects[key]
        except KeyError as error:
            raise NotFoundError("no such object", where=f"{self.url}/{key}") from error

    @staticmethod
    def _described(key: str, held: _Held) -> StoredObject:
        return StoredObject(key, len(held.data), held.tag, held.modified)
