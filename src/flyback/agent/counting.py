"""A store that counts the requests that it is asked for: they are on the receipt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flyback.store.protocol import Store, StoredObject

__all__ = ["CountingStore"]


class CountingStore:
    """Passes everything on.

    A large file counts once, though S3 takes it in parts; so do tries that the SDK repeats.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.puts = 0
        self.gets = 0

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        self.puts += 1
        if if_tag is None:
            return self._store.put(key, data, if_absent=if_absent)
        return self._store.put(key, data, if_absent=if_absent, if_tag=if_tag)

    def put_file(self, key: str, path: Path) -> str:
        self.puts += 1
        return self._store.put_file(key, path)

    def get(self, key: str) -> bytes:
        self.gets += 1
        return self._store.get(key)

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        self.gets += 1
        return self._store.get_range(key, start, length, tag=tag)

    def get_file(self, key: str, path: Path) -> None:
        self.gets += 1
        self._store.get_file(key, path)

    def stat(self, key: str) -> StoredObject:
        self.gets += 1
        return self._store.stat(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.puts += 1  # S3 prices a listing as it does a PUT
        yield from self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)  # S3 takes nothing for that
