"""How fast bytes move: the memory ceilings that other workloads are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flyback.workloads.device import Device, SkippedError
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Bandwidth"]

_ARRAYS = {"copy": 2, "triad": 3, "h2d": 1, "d2h": 1, "launch": 0}


class Bandwidth(Plugin):
    """Bytes that move per second, in the manner of STREAM; no arithmetic to speak of.

    `copy`: b = a, two arrays. `triad`: a = b + 2.5 c, three arrays and two operations per number.
    Arrays larger than every cache measure the memory, smaller ones a cache; a store that first
    reads the line it overwrites moves half as much again, which is not counted, as in STREAM.
    `h2d` and `d2h`: over the bus to a device and back, from page-locked memory. `launch`: one
    number, so all that is left is the way to the device and back, the floor of every latency.
    """

    name = "bandwidth"
    snr_floor_db = 130.0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"mib": 16, "samples": 30},
        "full": {"mib": 256, "samples": 100},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """What moves, and how much."""

        operation: Literal["copy", "triad", "h2d", "d2h", "launch"] = parameter(
            "copy", "which way the bytes go"
        )
        mib: int = parameter(64, "size of an array, MiB")

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.mib < 1:
                raise ParameterError("mib", f"must be at least 1, not {self.mib}")

    def setup(self, p: Any, device: Device) -> None:
        import numpy as np

        if p.operation in ("h2d", "d2h") and device.kind == "cpu":
            raise SkippedError(
                f"{p.operation} needs a device beside the host", where="parameters.operation"
            )
        self._p, self._device = p, device
        count = 1 if p.operation == "launch" else p.mib * 2**18
        self._host = device.normal(count), device.normal(count)
        self.backend = "numpy" if device.kind == "cpu" else "torch"
        self._near = [device.put(x) for x in self._host]
        if device.kind == "cpu":
            self._out: Any = np.full_like(self._near[0], np.nan)
        elif p.operation == "h2d":
            self._pinned = self._near[0].cpu().pin_memory()
            self._out = self._near[0].clone()
        elif p.operation == "d2h":
            self._out = self._near[0].cpu().pin_memory()

    def run(self) -> Any:
        import numpy as np

        operation, (a, b) = self._p.operation, self._near
        if self._device.kind == "cpu":
            if operation == "triad":
                np.multiply(b, np.float32(2.5), out=self._out)
                self._out += a
            else:
                np.copyto(self._out, a)
            return self._out
        if operation == "triad":
            return a.add(b, alpha=2.5)
        if operation in ("h2d", "d2h"):
            self._out.copy_(self._pinned if operation == "h2d" else a, non_blocking=True)
            return self._out
        return a.clone()

    def reference(self) -> Any:
        a, b = (x.astype("float64") for x in self._host)
        return a + 2.5 * b if self._p.operation == "triad" else a

    def work(self) -> Work:
        size = self._host[0].nbytes
        operation = self._p.operation
        return Work(
            flops=2 * size // 4 if operation == "triad" else 0,
            bytes=_ARRAYS[operation] * size if operation not in ("h2d", "d2h") else 0,
            items=max(_ARRAYS[operation] * size, 1),
            item_unit="byte",
            bytes_h2d=size if operation == "h2d" else 0,
            bytes_d2h=size if operation == "d2h" else 0,
            launches=1,
        )
