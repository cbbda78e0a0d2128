"""The device itself, through NVIDIA's cuda-core: compile, memory, graphs.

Not run on a real device so far: everything above it is tested with a stand-in that runs the same
kernels on the processor, and the kernels are compiled for every architecture.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import MissingExtraError, UserError
from flyback.workloads.cuda_faults import SkippedError, hidden
from flyback.workloads.spectral.cuda.steps import Copy, Fft, Launch, Memory, Played, Step

__all__ = ["CudaDriver", "explained"]

Array = npt.NDArray[Any]

_R2C = 0x2A  # cufft.h: CUFFT_R2C
_SHARED_UNASKED = 48 * 1024  # CUDA C++ Programming Guide: more must be asked for by each kernel


class _Memory:
    """A buffer of cuda-core, kept alive."""

    def __init__(self, buffer: Any, size: int, *, on_host: bool) -> None:
        self._buffer = buffer
        self.address = int(buffer.handle)
        self.size = size
        self.host: Array | None = None
        if on_host:  # one address for both sides: unified virtual addressing
            raw = (ctypes.c_uint8 * size).from_address(self.address)
            self.host = np.ctypeslib.as_array(raw)
            self.host[:] = 0

    @property
    def buffer(self) -> Any:
        """For copies."""
        return self._buffer


class CudaDriver:
    """The first device that CUDA shows.

    Raises:
        MissingExtraError: cuda-core is not installed.
        SkippedError: there is no device, or none that this CUDA can use.
    """

    def __init__(self) -> None:
        self._core = core = _core()
        with _translated("opening the device"):
            _check_driver()
            self._device = core.Device(0)
            self._device.set_current()
            self._stream = self._device.create_stream()
            self._pinned = core.LegacyPinnedMemoryResource()
        self.version = str(core.__version__)
        self.shared_bytes_max = int(self._device.properties.max_shared_memory_per_block_optin)

    def describe(self) -> Mapping[str, Any]:
        """The record's `device`."""
        from cuda.bindings import driver

        major, minor = self._device.compute_capability
        _, total = _done(driver.cuMemGetInfo())
        version = _done(driver.cuDriverGetVersion())[0]
        return {
            "kind": "cuda",
            "name": self._device.name,
            "compute_capability": f"{major}.{minor}",
            "memory_bytes": total,
            "multiprocessors": self._device.properties.multiprocessor_count,
            "cuda": f"{version // 1000}.{version % 1000 // 10}",
            "index": 0,
        }

    def free_bytes(self) -> int:
        """The device's memory that nobody uses."""
        from cuda.bindings import driver

        return int(_done(driver.cuMemGetInfo())[0])

    def pinned(self, size: int) -> Memory:
        """Page-locked memory of the host that the device reads and writes over the bus."""
        with _translated(f"page-locking {size} bytes"):
            buffer = self._pinned.allocate(size, stream=self._stream)
        return _Memory(buffer, size, on_host=True)

    def resident(self, content: Array | int) -> Memory:
        """Memory of the device: a copy of the array, or so many zero bytes."""
        size = content if isinstance(content, int) else content.nbytes
        near = self.pinned(size)
        assert near.host is not None  # noqa: S101  # page-locked
        if not isinstance(content, int):
            near.host[:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        with _translated(f"allocating {size} bytes on the device"):
            far = _Memory(self._device.allocate(size, stream=self._stream), size, on_host=False)
            self.ready([Copy(source=near, target=far)], recorded=False).play()
            self._stream.sync()
        return far

    def kernel(self, source: str, name: str, defines: Mapping[str, int]) -> Any:
        """A kernel, compiled for this device by NVRTC."""
        macros = [(key, str(value)) for key, value in defines.items()]
        with _translated(f"compiling {name}"):
            options = self._core.ProgramOptions(arch=f"sm_{self._device.arch}", define_macro=macros)
            program = self._core.Program(source, "c++", options)
            return program.compile("cubin").get_kernel(name)

    def ready(self, steps: Sequence[Step], *, recorded: bool) -> Played:
        """Steps in this order, as one graph where `recorded`."""
        with _translated("preparing"):
            plans = {id(step): _plan(step) for step in steps if isinstance(step, Fft)}
            for step in steps:
                if isinstance(step, Launch) and step.shared_bytes > _SHARED_UNASKED:
                    _ask_shared(step, self._device)
            queue = _Queue(self._core, self._stream, tuple(steps), plans)
            return queue.recorded() if recorded else queue


class _Queue:
    """Steps on the device's stream, one by one."""

    def __init__(self, core: Any, stream: Any, steps: tuple[Step, ...], plans: Any) -> None:
        self._core = core
        self._stream = stream
        self._steps = steps  # keeps their memory alive
        self._plans = plans

    def play(self) -> None:
        self._put(self._stream)

    def wait(self) -> None:
        with _translated("computing"):
            self._stream.sync()

    def recorded(self) -> _Graph:
        """The same as a graph: one call to the driver, whatever the number of steps."""
        builder = self._stream.create_graph_builder().begin_building()
        self._put(builder)
        return _Graph(builder.end_building().complete(), self._stream, self)

    def _put(self, stream: Any) -> None:
        for step in self._steps:
            match step:
                case Launch():
                    config = self._core.LaunchConfig(
                        grid=step.blocks, block=step.threads, shmem_size=step.shared_bytes
                    )
                    arguments = (getattr(value, "address", value) for value in step.arguments)
                    self._core.launch(stream, config, step.kernel, *arguments)
                case Copy(source=_Memory() as source, target=_Memory() as target):
                    source.buffer.copy_to(target.buffer, stream=stream)
                case Fft():
                    self._plans[id(step)](stream)


class _Graph:
    """Recorded steps."""

    def __init__(self, graph: Any, stream: Any, queue: _Queue) -> None:
        self._graph = graph
        self._stream = stream
        self._queue = queue  # keeps memory and plans alive

    def play(self) -> None:
        self._graph.launch(self._stream)

    def wait(self) -> None:
        self._queue.wait()


def explained(error: Exception, doing: str) -> UserError:
    """A foreign error as a sentence with its remedy."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    if "OUT_OF_MEMORY" in text or "OutOfMemory" in text:
        return UserError(
            f"the device's memory is full ({doing})",
            where="parameters",
            remedy="lower batch, channels or nfft, or end what else uses the device (nvidia-smi)",
        )
    if "DynamicLibNotFound" in text and '"cuda"' in text:
        return SkippedError(
            "no NVIDIA driver is installed",
            where="parameters.device",
            remedy="write device=cpu, or use a machine with an NVIDIA GPU and its driver",
        )
    if "DynamicLibNotFound" in text:
        return MissingExtraError(
            "a library of CUDA is not installed",
            where="parameters.backend",
            remedy="pip install 'flyback[gpu]', or write backend=fused",
        )
    if "NO_DEVICE" in text:
        return SkippedError(
            f"no CUDA device is visible{hidden()}",
            where="parameters.device",
            remedy="write device=cpu, or make one visible (nvidia-smi lists them)",
        )
    return UserError(
        f"the device failed while {doing}: {text[:300]}",
        where="parameters.device",
        remedy="look at `nvidia-smi` and `dmesg` for errors of the device",
    )


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """CUDA's exceptions have no common class; ours pass."""
    from flyback.errors import FlybackError

    try:
        yield
    except FlybackError:
        raise
    except Exception as error:
        raise explained(error, doing) from error


def _core() -> Any:
    try:
        import cuda.core
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the engines fused and cufft need cuda-core, which is not installed",
            where="parameters.backend",
            remedy="pip install 'flyback[gpu]', or write backend=torch",
        ) from error
    return cuda.core


def _check_driver() -> None:
    """The driver must know the CUDA that kernels are compiled with.

    Raises:
        SkippedError: it is older.
    """
    from cuda.bindings import driver, nvrtc

    _done(driver.cuInit(0))
    known = _done(driver.cuDriverGetVersion())[0] // 1000
    major, minor = _done(nvrtc.nvrtcVersion())
    if known < major:
        raise SkippedError(
            f"the NVIDIA driver knows CUDA {known}, and this is built for CUDA {major}.{minor}",
            where="parameters.device",
            remedy=f"update the driver, or pip install 'cuda-bindings<{known + 1}'",
        )


def _done(answer: Any) -> Any:
    """The values of a call of cuda-bindings.

    Raises:
        RuntimeError: it failed.
    """
    status, *values = answer
    if status.value:
        raise RuntimeError(status.name)
    return values


def _ask_shared(step: Launch, device: Any) -> None:
    from cuda.bindings import driver

    _done(
        driver.cuKernelSetAttribute(
            driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            step.shared_bytes,
            step.kernel.handle,
            device.device_id,
        )
    )


@functools.cache
def _cufft() -> Any:
    from cuda.pathfinder import load_nvidia_dynamic_lib

    return ctypes.CDLL(load_nvidia_dynamic_lib("cufft").abs_path)


def _plan(step: Fft) -> Any:
    """The library's plan for a step; given a stream, it queues the transform there."""
    library, handle = _cufft(), ctypes.c_int()
    _fft_done(library.cufftPlan1d(ctypes.byref(handle), step.nfft, _R2C, step.rows))
    source, target = ctypes.c_void_p(step.source.address), ctypes.c_void_p(step.target.address)

    def queue(stream: Any) -> None:
        _fft_done(library.cufftSetStream(handle, ctypes.c_void_p(int(stream.handle))))
        _fft_done(library.cufftExecR2C(handle, source, target))

    return queue


def _fft_done(status: int) -> None:
    if status:
        raise RuntimeError(f"cuFFT error {status}")
