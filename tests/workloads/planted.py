"""A workload of which one knows exactly how much slower it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from flyback.workloads.cuda_faults import SkippedError
from flyback.workloads.parameters import parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

SIZE = 100_000


class Planted(Plugin):
    """SHA-256 over so many bytes: time grows exactly with their number."""

    name = "planted"
    backend = "python"
    dtype = "uint8"

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """How much more there is to do."""

        slower: float = parameter(0.0, "share of additional work")
        wrong: bool = parameter(default=False, explanation="whether the result is")

    def setup(self, p: Any, device: Any) -> None:
        self.data = device.integers(0, 256, round(SIZE * (1 + p.slower))).tobytes()
        self.wrong = p.wrong

    def run(self) -> float:
        return float(hashlib.sha256(self.data).digest()[0] + self.wrong)

    def reference(self) -> float:
        return float(hashlib.sha256(self.data).digest()[0])

    def work(self) -> Work:
        return Work(flops=1, bytes=len(self.data), items=1, item_unit="hash")


class Standin(Plugin):
    """Two devices that compute the same: `near` at once, `far` after a start, ten times quicker."""

    name = "standin"
    backend = "python"
    dtype = "float64"
    snr_floor_db = 200.0

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """How much, and where."""

        n: int = parameter(1, "units of work")
        place: Literal["near", "far", "nowhere"] = parameter("near", "the device")

    def setup(self, p: Any, device: Any) -> None:
        if p.place == "nowhere":
            raise SkippedError("no such device is there", where="parameters.place")
        self.n = p.n
        self.x = device.normal(64, dtype="float64")
        units = 10 * p.n if p.place == "near" else 100 + p.n
        self.spent = bytes(500 * units)

    def run(self) -> Any:
        hashlib.sha256(self.spent)
        return 2 * self.x

    def reference(self) -> Any:
        return 2 * self.x

    def work(self) -> Work:
        return Work(flops=1, bytes=1, items=self.n, item_unit="unit")
