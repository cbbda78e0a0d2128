"""Runs as the interpreter of a simulated image starts: finds compiled code by its source's hash."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import source_hash

__all__ = ["read_or_find"]

_read = SourceFileLoader.get_data


def read_or_find(self: SourceFileLoader, path: str) -> bytes:
    """A file's bytes; for a .pyc that is not beside its source, the image's."""
    try:
        return _read(self, path)
    except OSError:
        if not path.endswith(".pyc"):
            raise
        digest = source_hash(_read(self, self.path))
        return _read(self, f"{sys.prefix}/bytecode/{digest.hex()}.pyc")


SourceFileLoader.get_data = read_or_find  # type: ignore[method-assign,assignment]  # our hook
