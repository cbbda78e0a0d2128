"""What computes: the host's processor, or a CUDA device through torch.

Inputs are made on the host from a seed and copied, so every device computes on the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from flyback.errors import MissingExtraError, UserError
from flyback.workloads.timing import DeviceClock

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Device", "Kind", "SkippedError", "open_device", "torch_or_error"]

Kind = Literal["cpu", "cuda"]


class SkippedError(UserError):
    """This machine lacks what the cell asks for; its row says so."""


class Device:
    """Where a plug-in's arrays live. This one is the host.

    Args:
        seed: Of every random array.
    """

    kind: Kind = "cpu"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._made = 0

    def normal(self, *shape: int, dtype: str = "float32") -> Array:
        """Standard normal numbers on the host; each call gives others, each seed its own."""
        import numpy as np

        self._made += 1
        rng = np.random.default_rng((self._seed, self._made))
        wide = np.float64 if dtype == "float64" else np.float32
        return rng.standard_normal(shape, dtype=wide).astype(dtype)

    def integers(self, low: int, high: int, *shape: int, dtype: str = "uint8") -> Array:
        """Whole numbers in [low, high) on the host."""
        import numpy as np

        self._made += 1
        return np.random.default_rng((self._seed, self._made)).integers(low, high, shape, dtype)

    def put(self, array: Array) -> Any:
        """The array where it is computed with."""
        return array

    def home(self, value: Any) -> Array:
        """A result as a NumPy array on the host."""
        import numpy as np

        if hasattr(value, "detach"):  # a tensor of torch
            value = value.detach().cpu()
            value = (value.float() if value.dtype.is_floating_point else value).numpy()
        return np.asarray(value)

    def synchronize(self) -> None:
        """Return once everything that was asked for is computed."""

    def clock(self) -> DeviceClock | None:
        """The device's own; None on the host."""
        return None

    def describe(self) -> Mapping[str, Any]:
        """The record's `device`."""
        from flyback.workloads.environment import cpu_model

        return {"kind": "cpu", "name": cpu_model()}


class _Cuda(Device):
    """The first CUDA device that torch sees."""

    kind: Kind = "cuda"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._torch = torch_or_error("device cuda")
        if not self._torch.cuda.is_available():
            raise SkippedError("no CUDA device is there", where="parameters.device")

    def put(self, array: Array) -> Any:
        return self._torch.from_numpy(array).cuda()

    def synchronize(self) -> None:
        self._torch.cuda.synchronize()

    def clock(self) -> DeviceClock:
        return _Events(self._torch)

    def describe(self) -> Mapping[str, Any]:
        found = self._torch.cuda.get_device_properties(0)
        return {
            "kind": "cuda",
            "name": found.name,
            "compute_capability": f"{found.major}.{found.minor}",
            "memory_bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count,
            "cuda": self._torch.version.cuda,
            "index": 0,
        }


class _Events:
    """Times between two events on the current stream; resolution 0.5 us."""

    name = "cuda events"

    def __init__(self, torch: Any) -> None:
        self._begin = torch.cuda.Event(enable_timing=True)
        self._end = torch.cuda.Event(enable_timing=True)

    def start(self) -> None:
        self._begin.record()

    def stop(self) -> int:
        self._end.record()
        self._end.synchronize()
        milliseconds: float = self._begin.elapsed_time(self._end)
        return round(milliseconds * 1e6)


def open_device(kind: str, seed: int = 0) -> Device:
    """The device of that kind.

    Raises:
        SkippedError: there is none on this machine.
        MissingExtraError: torch is not installed.
    """
    return _Cuda(seed) if kind == "cuda" else Device(seed)


def torch_or_error(what: str) -> Any:
    """The module `torch`, limited to the threads that the environment allows.

    Raises:
        MissingExtraError: it is not installed.
    """
    import os

    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{what} needs torch, which is not installed",
            where="workload",
            remedy="pip install torch, or use an image that has it",
        ) from error
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit():
        torch.set_num_threads(int(threads))
    return torch
