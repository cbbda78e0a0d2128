"""A workload of which one knows exactly how much slower it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

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
