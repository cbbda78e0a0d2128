"""The io workload: a batch of objects in memory, as float32, is one result."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.workloads.io.declaration import IoParameters
from flyback.workloads.io.sources import Cached, Local, Parallel, Single, Source
from flyback.workloads.workload import Comparison, Prepared, Work, Workload

__all__ = ["Io", "contents"]

Array = npt.NDArray[Any]

_FLOOR_DB = 390.0
"""Bytes arrive as they are or damaged: only identical batches pass (they count as 400 dB)."""


def contents(parameters: IoParameters, number: int) -> Array:
    """What object `number` holds: shape (object_bytes / 4,), float32 in [0.5, 1)."""
    generator = np.random.default_rng((parameters.seed, number))
    return generator.random(parameters.object_bytes // 4, np.float32) / 2 + np.float32(0.5)


class Io(Workload[IoParameters]):
    """Batches of objects, in order, again from the start when the data set ends.

    One result is a batch in memory as float32. A GPU starves when that takes longer than its step.
    What limits it: `local`, the disk's throughput (bytes/s) and its latency for each file (s);
    `single`, one round trip (s) for each object, since a connection waits for each answer;
    `parallel`, the link (bytes/s) as soon as connections x object bytes / round trip exceeds it, or
    the processor that checks and copies; `cached`, the memory's and the disk's bandwidth after the
    first epoch. `latency_ms` adds a stated round trip to a server on this machine.
    """

    def setup(self, parameters: IoParameters) -> Prepared:
        self._parameters = p = parameters
        folder = tempfile.TemporaryDirectory(prefix="flyback-io-", ignore_cleanup_errors=True)
        data, cache = Path(folder.name, "data"), Path(folder.name, "cache")
        data.mkdir()
        cache.mkdir()
        for number in range(p.objects):
            (data / str(number)).write_bytes(contents(p, number).tobytes())
        server = None if p.source == "local" else _Server(data, p)
        self._source = _source(p, data, cache, server)
        self.close = weakref.finalize(self, _close, self._source, server, folder)
        self._position = 0
        self._numbers: list[int] = []
        whole_set = -(-p.objects // p.batch)
        return Prepared(
            backend={"name": p.source, "version": "1"},
            dtype="float32",
            warmup=max(p.warmup, whole_set) if p.source == "cached" else p.warmup,
            samples=p.batches,
            snr_floor_db=_FLOOR_DB,
            reference="float32",
            method={"server": "none" if server is None else "HTTP/1.1 on loopback"},
        )

    def run(self) -> Iterator[Array]:
        p = self._parameters
        self._numbers = [(self._position + n) % p.objects for n in range(p.batch)]
        self._position = (self._position + p.batch) % p.objects
        yield np.frombuffer(b"".join(self._source.fetch(self._numbers)), np.float32).reshape(
            p.batch, -1
        )

    def reference(self) -> Array:
        return np.stack([contents(self._parameters, number) for number in self._numbers])

    def gate(self) -> Iterator[Comparison]:
        """One whole pass over the data set."""
        for _ in range(-(-self._parameters.objects // self._parameters.batch)):
            for result in self.run():
                yield Comparison(
                    label="data set", kind="batch", actual=result, expected=self.reference()
                )

    def work(self) -> Work:
        """A batch: its bytes, and no arithmetic."""
        p = self._parameters
        return Work(flops=0, bytes=p.batch * p.object_bytes, items=p.batch, item_unit="object")


class _Server:
    """The server's process."""

    def __init__(self, folder: Path, parameters: IoParameters) -> None:
        words = [str(folder), str(parameters.latency_ms / 1e3), str(parameters.rate_mb_s * 1e6)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flyback.workloads.io.server", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _source(p: IoParameters, data: Path, cache: Path, server: _Server | None) -> Source:
    if server is None:
        return Local(data)
    if p.source == "single":
        return Single(server.port)
    parallel = Parallel(server.port, p.connections)
    return Cached(parallel, cache) if p.source == "cached" else parallel


def _close(
    source: Source, server: _Server | None, folder: tempfile.TemporaryDirectory[str]
) -> None:
    source.close()
    if server is not None:
        server.close()
    folder.cleanup()
