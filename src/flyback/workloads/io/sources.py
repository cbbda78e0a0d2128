"""Where batches come from: each source gives the contents of objects by number."""

from __future__ import annotations

import http.client
import itertools
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flyback.errors import ServiceError

__all__ = ["Cached", "Local", "Parallel", "Single", "Source"]


class Source(ABC):
    """Gives objects."""

    @abstractmethod
    def fetch(self, numbers: Sequence[int]) -> list[bytes]:
        """The contents, in the order asked for."""

    def close(self) -> None:
        """Let go of connections."""
        return


class Local(Source):
    """Files of a folder, one after the other.

    Args:
        folder: One file per object, named by its number.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, numbers: Sequence[int]) -> list[bytes]:
        return [(self._folder / str(number)).read_bytes() for number in numbers]


class Single(Source):
    """One connection that is kept, one request after the other.

    Args:
        port: Of the server on loopback.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def fetch(self, numbers: Sequence[int]) -> list[bytes]:
        return [self.one(number) for number in numbers]

    def one(self, number: int) -> bytes:
        """One object."""
        self._connection.request("GET", f"/{number}")
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != http.client.OK:
            raise ServiceError(f"the server answered {answer.status}", where=f"object {number}")
        return data

    def close(self) -> None:
        self._connection.close()


class Parallel(Source):
    """Several connections, each in a thread of its own.

    Args:
        port: Of the server on loopback.
        connections: How many.
    """

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._own = threading.local()
        self._singles: list[Single] = []
        self._executor = ThreadPoolExecutor(connections, "io")

    def fetch(self, numbers: Sequence[int]) -> list[bytes]:
        return list(self._executor.map(self._one, numbers))

    def close(self) -> None:
        self._executor.shutdown()
        for single in self._singles:
            single.close()

    def _one(self, number: int) -> bytes:
        if not hasattr(self._own, "single"):
            self._own.single = Single(self._port)
            self._singles.append(self._own.single)
        single: Single = self._own.single
        return single.one(number)


class Cached(Source):
    """Files, fetched from another source the first time.

    Args:
        origin: Where from.
        folder: Keeps what was fetched.
    """

    def __init__(self, origin: Source, folder: Path) -> None:
        self._origin = origin
        self._folder = folder
        self._serial = itertools.count()

    def fetch(self, numbers: Sequence[int]) -> list[bytes]:
        missing = [n for n in dict.fromkeys(numbers) if not (self._folder / str(n)).exists()]
        for number, data in zip(missing, self._origin.fetch(missing), strict=True):
            part = self._folder / f".part-{next(self._serial)}"
            part.write_bytes(data)
            os.replace(part, self._folder / str(number))  # noqa: PTH105  # as short as it gets
        return [(self._folder / str(number)).read_bytes() for number in numbers]

    def close(self) -> None:
        self._origin.close()
