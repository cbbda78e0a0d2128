"""What comes before the first result of a program that starts from nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flyback.workloads.device import Device
from flyback.workloads.parameters import parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Boot"]

# Prints seconds from its first line: after the import, and after the first result.
_NUMPY = """
import json, time
start = time.perf_counter()
import numpy
imported = time.perf_counter()
value = float(abs(numpy.fft.rfft(numpy.ones(1024))).sum())
print(json.dumps([value, imported - start, time.perf_counter() - imported]))
"""
_TORCH = """
import json, time
start = time.perf_counter()
import torch
imported = time.perf_counter()
device = "cuda" if torch.cuda.is_available() else "cpu"
value = float(torch.fft.rfft(torch.ones(1024, device=device)).abs().sum())
print(json.dumps([value, imported - start, time.perf_counter() - imported]))
"""
_LENGTH = 1024


class Boot(Plugin):
    """A new interpreter, its imports, and the first result it computes.

    A run of minutes on a spot machine pays this once per process, beside the machine's own boot,
    which the run's events tell (launch, first line, first result). Cold files are read from the
    disk, warm ones from the page cache: the first sample of a fresh machine is the honest one, and
    it is the record's `cold_first_s`. With torch on a GPU the first result includes the CUDA
    context and the compilation of kernels.
    """

    name = "boot"
    seeded = False
    backend = "python"
    dtype = "float64"
    snr_floor_db = 100.0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"samples": 10, "warmup": 0},
        "full": {"samples": 30, "warmup": 0},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """Which library."""

        backend: Literal["numpy", "torch"] = parameter("numpy", "what the program imports")

    def setup(self, p: Any, device: Device) -> None:
        del device
        self._program = _TORCH if p.backend == "torch" else _NUMPY
        self._stages: list[tuple[float, float]] = []

    def run(self) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", self._program], capture_output=True, text=True, check=True
        )
        value, imported, first = json.loads(done.stdout)
        self._stages.append((imported, first))
        return value

    def output(self, result: Any) -> Any:
        """The number that the program printed."""
        import numpy as np

        return np.array([result], "float64")

    def reference(self) -> Any:
        import numpy as np

        return np.array([float(_LENGTH)])  # all of a constant signal lies in the first bin

    def work(self) -> Work:
        return Work(flops=0, bytes=0, items=1, item_unit="start")

    def metrics(self) -> Mapping[str, Any]:
        middle = len(self._stages) // 2
        imports, firsts = (sorted(each) for each in zip(*self._stages, strict=True))
        return {"import_s": imports[middle], "first_result_s": firsts[middle]}
