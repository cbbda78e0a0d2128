"""What this machine can do at most, measured in a tenth of a second.

Memory: NumPy copies an array that fits no cache, and one that fits a core's own; each byte is read
once and written once. Arithmetic: the matrix product of the BLAS that NumPy brings, 2 n³
operations; it uses as many threads as that BLAS does. On a CUDA device the same through torch, with
both ways over the bus from page-locked memory, and the least time from a call to its result: a
kernel of one number. The best of several bursts counts.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flyback.errors import UserError
from flyback.spec.codec import dumps, write_atomic
from flyback.workloads.cuda_faults import out_of_memory
from flyback.workloads.device import open_device, torch_or_error

__all__ = ["measure_ceilings", "measure_device", "of_this_boot"]

_LARGE, _SMALL = 32 * 2**20, 2**17  # bytes
_SIDE = 512
_DEVICE_BYTES, _DEVICE_SIDE = 2**29, 8192
_DEVICE_TYPES = ("float64", "float32", "tf32", "bfloat16", "float16")


def measure_ceilings() -> dict[str, Any]:
    """The ceilings: bytes per second, operations per second by element type."""
    found = {
        "dram_bytes_s": _copy_rate(_LARGE, 4),
        "cache_bytes_s": _copy_rate(_SMALL, 200),
        "flop_s": {dtype: _multiply_rate(dtype) for dtype in ("float32", "float64")},
        "launch_ns": 0,
    }
    return _named(found)


def measure_device(torch: Any, device: str = "cuda", large: int = _DEVICE_BYTES) -> dict[str, Any]:
    """The ceilings of a device, about five seconds.

    Args:
        torch: The module.
        device: `cuda`; `cpu` measures torch on the host.
        large: Bytes that fit no cache of the device; the products' sides shrink with it.
    """
    sync = torch.cuda.synchronize if device == "cuda" else lambda: None
    near = torch.ones(large, dtype=torch.uint8, device=device)
    far = torch.ones(large // 8, dtype=torch.uint8, pin_memory=device == "cuda")
    part, one = near[: far.numel()], near[:1]
    cached = near[: large // 128]

    def rate(moved: int, call: Callable[[], object], times: int) -> float:
        def burst() -> None:
            for _ in range(times):
                call()
            sync()

        return round(moved * times / _least(burst, 5) * 1e9)

    other, side = torch.empty_like(near), round(_DEVICE_SIDE * (large / _DEVICE_BYTES) ** 0.5)
    result = torch.empty_like(cached)
    found = {
        "dram_bytes_s": rate(2 * large, lambda: other.copy_(near), 4),
        "cache_bytes_s": rate(2 * cached.numel(), lambda: result.copy_(cached), 50),
        "h2d_bytes_s": rate(far.numel(), lambda: part.copy_(far, non_blocking=True), 4),
        "d2h_bytes_s": rate(far.numel(), lambda: far.copy_(part, non_blocking=True), 4),
        "flop_s": _products(torch, device, side, sync),
        "launch_ns": _least(lambda: (one.add_(1), sync()), 500),
    }
    return _named(found)


def _products(torch: Any, device: str, side: int, sync: Callable[[], object]) -> dict[str, float]:
    """Operations per second of the largest matrix product, on random numbers."""
    rates: dict[str, float] = {}
    for name in _DEVICE_TYPES:
        kind = getattr(torch, "float32" if name == "tf32" else name)
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        # Wide types are slow on most devices: a smaller product reaches their peak as well.
        n = side // 4 if name == "float64" else side
        a = torch.randn(n, n, device=device, dtype=kind)
        out = torch.empty_like(a)

        def burst(a: Any = a, out: Any = out) -> None:
            torch.matmul(a, a, out=out)
            sync()

        rates[name] = round(2 * n**3 / _least(burst, 5) * 1e9)
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def of_this_boot(kind: str, folder: Path | None = None) -> dict[str, Any] | None:
    """The ceilings of a device, measured once per boot and user; None where they can't be.

    A finished measurement is worth more than what it is held against: whatever torch lacks for the
    ceilings (itself, a build for the device, memory beside the cell's own) leaves them out.

    Args:
        kind: `cpu` or `cuda`.
        folder: Where they are kept; None takes the folder for temporary files.
    """
    import json

    where = folder or Path(tempfile.gettempdir())
    path = where / f"flyback-ceilings-{kind}-{_boot()}-{os.getuid()}.json"
    try:
        kept = json.loads(path.read_text())
        if isinstance(kept, dict) and path.stat().st_uid == os.getuid():
            return kept
    except (OSError, ValueError):
        pass
    try:
        with out_of_memory(lambda: ""):
            found = measure_ceilings() if kind == "cpu" else measure_device(_torch_for(kind))
    except UserError:
        return None
    write_atomic(path, dumps(found).encode())
    return found


def _torch_for(kind: str) -> Any:
    open_device(kind)
    return torch_or_error("the device's ceilings")


def _named(found: dict[str, Any]) -> dict[str, Any]:
    return {"id": hashlib.sha256(dumps(found).encode()).hexdigest()[:12], **found}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _copy_rate(size: int, bursts: int) -> float:
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    return round(2 * size / _least(lambda: np.copyto(target, source), bursts) * 1e9)


def _multiply_rate(dtype: str) -> float:
    a = np.full((_SIDE, _SIDE), 0.5, dtype)
    out = np.empty_like(a)
    return round(2 * _SIDE**3 / _least(lambda: np.matmul(a, a, out=out), 6) * 1e9)


def _least(call: Callable[[], object], bursts: int) -> int:
    """Nanoseconds of the quickest of several calls."""
    call()
    best = 1 << 62
    for _ in range(bursts):
        start = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - start)
    return max(best, 1)
