"""How fast a file system takes bytes and gives them back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from flyback.workloads.device import Device
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Disk"]

_PAGE = 4096
_READS = 64  # pages per sample: one alone is near the clock's own cost when it is cached


class Disk(Plugin):
    """Bytes per second to and from a file, and the latency of single pages.

    `write`: a new file, until the device says that it is durable (fsync); network volumes answer
    after replication, so small files measure a round trip and large ones the volume's throughput.
    `read`: the whole file, dropped from the page cache first as far as the kernel follows the
    advice. `pages`: 64 random pages of 4 KiB, one after another, so a device's latency and not its
    parallelism.
    """

    name = "disk"
    backend = "python"
    dtype = "uint8"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"mib": 4, "samples": 30},
        "full": {"mib": 1024, "samples": 30},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """What is done, and to how much."""

        operation: Literal["write", "read", "pages"] = parameter("read", "what is timed")
        mib: int = parameter(64, "size of the file, MiB")
        folder: str | None = parameter(None, "where the file lies; null: where temporary files do")

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.mib < 1:
                raise ParameterError("mib", f"must be at least 1, not {self.mib}")

    def setup(self, p: Any, device: Device) -> None:
        import random

        self._p = p
        self._data = device.integers(0, 256, p.mib * 2**20).tobytes()
        handle, name = tempfile.mkstemp(prefix="flyback-disk-", dir=p.folder)
        os.close(handle)
        self._path = Path(name)
        self._write()
        rng = random.Random(p.seed)  # noqa: S311  # places in a file, not secrets
        self._places = [_PAGE * rng.randrange(len(self._data) // _PAGE) for _ in range(_READS)]

    def run(self) -> Any:
        if self._p.operation == "write":
            self._write()
            return self._path.stat().st_size
        handle = os.open(self._path, os.O_RDONLY)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            if self._p.operation == "pages":
                return b"".join(os.pread(handle, _PAGE, place) for place in self._places)
            return self._read(handle)
        finally:
            os.close(handle)

    def output(self, result: Any) -> Any:
        """Bytes as numbers; of a write, what lies on the disk afterwards."""
        import numpy as np

        found = self._path.read_bytes() if self._p.operation == "write" else result
        return np.frombuffer(found, np.uint8).astype("float64")

    def reference(self) -> Any:
        import numpy as np

        data = self._data
        if self._p.operation == "pages":
            data = b"".join(data[place : place + _PAGE] for place in self._places)
        return np.frombuffer(data, np.uint8).astype("float64")

    def work(self) -> Work:
        pages = self._p.operation == "pages"
        size = _READS * _PAGE if pages else len(self._data)
        return Work(flops=0, bytes=0, items=size, item_unit="byte")

    def teardown(self) -> None:
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        with self._path.open("wb") as file:
            file.write(self._data)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, handle: int) -> bytes:
        parts = []
        while part := os.read(handle, 1 << 22):
            parts.append(part)
        return b"".join(parts)
