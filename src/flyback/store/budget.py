"""A limit on the bytes that are in memory at once, however many threads hold them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["Budget"]


class Budget:
    """Counts bytes.

    Args:
        limit: At most so many; one larger request has it alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Wait until there is room, and keep it for the block."""
        taken = min(count, self._limit)
        with self._changed:
            while self._free < taken:
                self._changed.wait()
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
