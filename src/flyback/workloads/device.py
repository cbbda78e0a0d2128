"""What computes: the host's processor, or a CUDA device through torch.

Inputs are made on the host from a seed and copied, so every device computes on the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from flyback.errors import MissingExtraError
from flyback.workloads.cuda_faults import no_cuda
from flyback.workloads.timing import DeviceClock

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Device", "Kind", "open_device", "torch_or_error"]

Kind = Literal["cpu", "cuda"]

_NARROW_BYTES = 4  # types of fewer are widened on their way home: NumPy has no bfloat16


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
            narrow = value.dtype.is_floating_point and value.element_size() < _NARROW_BYTES
            value = (value.float() if narrow else value).numpy()
        return np.asarray(value)

    def synchronize(self) -> None:
        """Return once everything that was asked for is computed."""

    def clock(self) -> DeviceClock | None:
        """The device's own; None on the host."""
        return None

    def free_bytes(self) -> int | None:
        """Memory that nobody uses; None on the host, whose memory others share out."""
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
            raise no_cuda(self._torch)
        self._events = _Events(self._torch)

    def put(self, array: Array) -> Any:
        return self._torch.from_numpy(array).cuda()

    def synchronize(self) -> None:
        self._events.mark()
        self._torch.cuda.synchronize()

    def clock(self) -> DeviceClock:
        return self._events

    def free_bytes(self) -> int:
        free: int = self._torch.cuda.mem_get_info()[0]
        return free

    def describe(self) -> Mapping[str, Any]:
        from flyback.workloads.nvml import driver_version

        found = self._torch.cuda.get_device_properties(0)
        return {
            "kind": "cuda",
            "name": found.name,
            "compute_capability": f"{found.major}.{found.minor}",
            "memory_bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count,
            "cuda": self._torch.version.cuda,
            "driver": driver_version(),
            "index": 0,
        }


class _Events:
    """Times between two events on the current stream; resolution 0.5 us.

    The second is queued before the host waits: after that it would tell the host's time.
    """

    name = "cuda events"

    def __init__(self, torch: Any) -> None:
        self._begin = torch.cuda.Event(enable_timing=True)
        self._end = torch.cuda.Event(enable_timing=True)
        self._running = False

    def start(self) -> None:
        self._begin.record()
        self._running = True

    def mark(self) -> None:
        """What is queued from now on is not counted."""
        if self._running:
            self._end.record()
            self._running = False

    def stop(self) -> int:
        self.mark()
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
