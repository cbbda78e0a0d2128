"""The seam: what every store can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Store", "StoredObject"]


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing or `stat` tells it.

    Args:
        key: Its name.
        size: Bytes.
        tag: Changes whenever the content does; compare-and-swap and ranged reads hold on to it.
        modified: When it was written, seconds since the epoch; S3 tells whole seconds.
    """

    key: str
    size: int
    tag: str = ""
    modified: float = 0.0


class Store(Protocol):
    """Bytes under keys. A reader sees an object whole or not at all.

    All methods raise `RefusedError` kinds for what the service refuses.
    """

    url: str

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write an object; its tag.

        Args:
            key: Its name.
            data: Its content.
            if_absent: Only where there is none.
            if_tag: Only over the content that has this tag (compare-and-swap).

        Raises:
            ConflictError: the condition does not hold.
        """
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Upload a file; the object's tag."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        """Read up to `length` bytes from `start`; fewer where the object ends before.

        Raises:
            NotFoundError: there is no such key.
            ConflictError: the object has no longer the tag that was given.
        """
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Download to a file, which appears whole, verified and flushed to disk.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def stat(self, key: str) -> StoredObject:
        """Size, tag and age of an object.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object under a prefix, in key order."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already."""
        ...
