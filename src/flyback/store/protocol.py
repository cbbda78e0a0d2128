"""The seam: what every store can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Store", "StoredObject"]


@dataclass(frozen=True)
class StoredObject:
    """Key and size in bytes."""

    key: str
    size: int


class Store(Protocol):
    """Bytes under keys. A reader sees an object whole or not at all.

    All methods raise `RefusedError` kinds for what the service refuses.
    """

    url: str

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Write an object.

        Raises:
            ConflictError: `if_absent` and the key exists.
        """
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Upload a file."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Download to a file, which appears whole.

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
