"""A store that counts the requests that it is asked for: they are on the receipt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from flyback.store.protocol import Sent, Store, StoredObject

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
        self._lock = threading.Lock()  # files are uploaded several at once

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        self._put()
        if if_tag is None:
            return self._store.put(key, data, if_absent=if_absent)
        return self._store.put(key, data, if_absent=if_absent, if_tag=if_tag)

    def put_file(self, key: str, path: Path) -> Sent:
        self._put()
        return self._store.put_file(key, path)

    def get(self, key: str) -> bytes:
        self._got()
        return self._store.get(key)

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        self._got()
        return self._store.get_range(key, start, length, tag=tag)

    def get_file(self, key: str, path: Path) -> None:
        self._got()
        self._store.get_file(key, path)

    def stat(self, key: str) -> StoredObject:
        self._got()
        return self._store.stat(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._put()  # S3 prices a listing as it does a PUT
        yield from self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)  # S3 takes nothing for that

    def _put(self) -> None:
        with self._lock:
            self.puts += 1

    def _got(self) -> None:
        with self._lock:
            self.gets += 1
