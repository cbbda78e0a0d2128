"""Matrix product: arithmetic per byte grows with the side, so this is the compute ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from flyback.workloads.device import Device, torch_or_error
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Matmul"]

_SIDE_MAX = 32_768
_SIZES = MappingProxyType({"float64": 8, "float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2})
_CHECKED = 64  # rows of the product that are held against float64, spread over all of it


class Matmul(Plugin):
    """The product of two square matrices, C = A B.

    2 n³ operations on 3 n² numbers: 2 n / 3 per number that moves. From a side of a few hundred on
    no memory limits it, only the multipliers do, and only where both factors come in blocks that
    fit the caches. Small sides measure the start of a kernel instead. Narrow types double the rate
    at each halving and pay in accuracy, so a figure without its SNR says nothing: float32 reaches
    129 dB, tf32 about 70, bfloat16 50.
    """

    name = "matmul"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"n": 256, "samples": 30},
        "full": {"n": 4096, "samples": 30},
        # The sides of a published comparison; there with allocation, random numbers and the
        # device's start inside the time, here without.
        "classic": {"n": 1000, "samples": 30},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """Side, element type and library."""

        n: int = parameter(2048, "side of the matrices")
        dtype: Literal["float64", "float32", "tf32", "bfloat16", "float16"] = parameter(
            "float32", "element type of the factors; sums are float32 or wider"
        )
        backend: Literal["auto", "numpy", "torch"] = parameter(
            "auto", "auto: NumPy for float32 and float64 on the CPU, else torch"
        )

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 1 <= self.n <= _SIDE_MAX:
                raise ParameterError("n", f"must be from 1 to {_SIDE_MAX}, not {self.n}")
            if self.computes_with == "numpy" and self.dtype not in ("float32", "float64"):
                raise ParameterError(
                    "backend", f"NumPy has no {self.dtype} product", remedy="write backend=torch"
                )
            if self.computes_with == "numpy" and self.device != "cpu":
                raise ParameterError(
                    "backend", "NumPy computes on the CPU only", remedy="write backend=torch"
                )

        @property
        def computes_with(self) -> str:
            """The backend that `auto` stands for."""
            if self.backend != "auto":
                return self.backend
            plain = self.device == "cpu" and self.dtype in ("float32", "float64")
            return "numpy" if plain else "torch"

    def setup(self, p: Any, device: Device) -> None:
        self.backend, self.dtype = p.computes_with, p.dtype
        self.snr_floor_db = {"float64": 250.0, "float32": 110.0, "tf32": 60.0}.get(p.dtype, 40.0)
        wide = "float64" if p.dtype == "float64" else "float32"
        self._a, self._b = (device.normal(p.n, p.n, dtype=wide) for _ in range(2))
        self._n = p.n
        if p.computes_with == "torch":
            torch = torch_or_error("matmul")
            torch.backends.cuda.matmul.allow_tf32 = p.dtype == "tf32"
            kind = getattr(torch, "float32" if p.dtype == "tf32" else p.dtype)
            self.a, self.b = (
                (torch.from_numpy(x) if device.kind == "cpu" else device.put(x)).to(kind)
                for x in (self._a, self._b)
            )
        else:
            self.a, self.b = self._a, self._b

    def run(self) -> Any:
        return self.a @ self.b

    def output(self, result: Any) -> Any:
        """The rows that are checked, all columns."""
        return result[self._rows()]

    def reference(self) -> Any:
        import numpy as np

        wide = np.longdouble if self.dtype == "float64" else np.float64
        return self._a[self._rows()].astype(wide) @ self._b.astype(wide)

    def _rows(self) -> Any:
        import numpy as np

        count = min(self._n, 4 if self.dtype == "float64" else _CHECKED)
        return np.linspace(0, self._n - 1, count).astype(int)

    def work(self) -> Work:
        n = self._n
        return Work(
            flops=2 * n**3,
            bytes=3 * n * n * _SIZES[self.dtype],
            items=1,
            item_unit="product",
            launches=1,
        )
