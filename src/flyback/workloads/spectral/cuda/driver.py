"""The device itself, through NVIDIA's cuda-core: compile, memory, graphs.

Not run on a real device so far: everything above it is tested with a stand-in that runs the same
kernels on the processor, and the kernels are compiled for every architecture.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_FFT_ALLOC_FAILED = 2  # as above: CUFFT_ALLOC_FAILED
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
            self._streams = [self._device.create_stream()]
            self._pinned = core.LegacyPinnedMemoryResource()
        self.version = str(core.__version__)
        self.shared_bytes_max = int(self._device.properties.max_shared_memory_per_block_optin)

    def describe(self) -> Mapping[str, Any]:
        """The record's `device`."""
        from cuda.bindings import driver

        from flyback.workloads.nvml import driver_version

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
            "driver": driver_version(),
            "index": 0,
        }

    def free_bytes(self) -> int:
        """The device's memory that nobody uses."""
        from cuda.bindings import driver

        return int(_done(driver.cuMemGetInfo())[0])

    def pinned(self, size: int) -> Memory:
        """Page-locked memory of the host that the device reads and writes over the bus."""
        with _translated(f"page-locking {size} bytes"):
            buffer = self._pinned.allocate(size, stream=self._streams[0])
        return _Memory(buffer, size, on_host=True)

    def resident(self, content: Array | int) -> Memory:
        """Memory of the device: a copy of the array, or so many zero bytes."""
        size, stream = content if isinstance(content, int) else content.nbytes, self._streams[0]
        with _translated(f"allocating {size} bytes on the device"):
            far = _Memory(self._device.allocate(size, stream=stream), size, on_host=False)
            if isinstance(content, int):
                far.buffer.fill(0, stream=stream)
                stream.sync()
                return far
        near = self.pinned(size)
        assert near.host is not None  # noqa: S101  # page-locked
        near.host[:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        with _translated(f"copying {size} bytes to the device"):
            self.ready([Copy(source=near, target=far)], recorded=False).play()
            stream.sync()
        return far

    def kernel(self, source: str, name: str, defines: Mapping[str, int]) -> Any:
        """A kernel, compiled for this device by NVRTC."""
        macros = [(key, str(value)) for key, value in defines.items()]
        with _translated(f"compiling {name}"):
            options = self._core.ProgramOptions(arch=f"sm_{self._device.arch}", define_macro=macros)
            program = self._core.Program(source, "c++", options)
            return program.compile("cubin").get_kernel(name)

    def ready(self, steps: Sequence[Step], *, recorded: bool, queue: int = 0) -> Played:
        """Steps in this order, as one graph where `recorded`."""
        with _translated("preparing"):
            while len(self._streams) <= queue:
                self._streams.append(self._device.create_stream())
            for step in steps:
                if isinstance(step, Launch) and step.shared_bytes > _SHARED_UNASKED:
                    _ask_shared(step, self._device)
            ready = _Queue(self._core, self._streams[queue], tuple(steps))
            return ready.recorded() if recorded else ready


class _Queue:
    """Steps on a stream of the device, one by one."""

    def __init__(self, core: Any, stream: Any, steps: tuple[Step, ...]) -> None:
        self._stream = stream
        self._steps = steps  # keeps their memory alive
        self._calls = [_call(core, step, stream) for step in steps]

    def play(self) -> None:
        try:
            self._put(self._stream)
        except Exception as error:  # a `with` here would cost every frame a microsecond
            raise explained(error, "starting") from error

    def wait(self, *, sleep: bool) -> None:
        with _translated("computing"):
            if sleep:
                self._sleep_until_done()
            else:
                self._stream.sync()

    def _sleep_until_done(self) -> None:
        """Until an interrupt says so; to wait for a stream, as for most events, is to spin."""
        from cuda.bindings import driver

        _done(driver.cuEventRecord(self._event, self._stream.handle))
        _done(driver.cuEventSynchronize(self._event))

    @functools.cached_property
    def _event(self) -> Any:
        """One for all frames: to make and destroy it is in no latency after the first."""
        from cuda.bindings import driver

        flags = driver.CUevent_flags
        asked = flags.CU_EVENT_BLOCKING_SYNC.value | flags.CU_EVENT_DISABLE_TIMING.value
        (event,) = _done(driver.cuEventCreate(asked))
        weakref.finalize(self, driver.cuEventDestroy, event)
        return event

    def done(self) -> bool:
        from cuda.bindings import driver

        (status,) = driver.cuStreamQuery(self._stream.handle)
        if status == driver.CUresult.CUDA_ERROR_NOT_READY:
            return False
        with _translated("computing"):
            _done((status,))
        return True

    def recorded(self) -> _Graph:
        """The same as a graph: one call to the driver, whatever the number of steps."""
        builder = self._stream.create_graph_builder().begin_building()
        self._put(builder)
        return _Graph(builder.end_building().complete(), self._stream, self)

    def _put(self, stream: Any) -> None:
        for call in self._calls:
            call(stream)


class _Graph:
    """Recorded steps."""

    def __init__(self, graph: Any, stream: Any, queue: _Queue) -> None:
        self._graph = graph
        self._stream = stream
        self._queue = queue  # a graph of cuda-core keeps neither memory nor plans alive
        self.wait, self.done = queue.wait, queue.done

    def play(self) -> None:
        try:
            self._graph.launch(self._stream)
        except Exception as error:  # as above
            raise explained(error, "starting") from error


def _call(core: Any, step: Step, stream: Any) -> Callable[[Any], object]:
    """What queues a step on a stream; `stream` is where it will be played."""
    if isinstance(step, Launch):
        config = core.LaunchConfig(
            grid=step.blocks, block=step.threads, shmem_size=step.shared_bytes
        )
        arguments = tuple(getattr(value, "address", value) for value in step.arguments)
        return lambda where: core.launch(where, config, step.kernel, *arguments)
    if isinstance(step, Fft):
        return _Plan(step, stream)
    source, target = step.source, step.target
    assert isinstance(source, _Memory)  # noqa: S101  # for mypy: both are this driver's own
    assert isinstance(target, _Memory)  # noqa: S101  # as above
    return lambda where: source.buffer.copy_to(target.buffer, stream=where)


def explained(error: Exception, doing: str) -> UserError:
    """A foreign error as a sentence with its remedy."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    if "OUT_OF_MEMORY" in text or "OutOfMemory" in text:
        return UserError(
            f"the device's memory is full ({doing})",
            where="parameters",
            remedy="lower batch, channels or nfft, or end what else uses the device (nvidia-smi)",
        )
    if ("DynamicLibNotFound" in text and '"cuda"' in text) or "libcuda.so" in text:
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
    if text.startswith("NVRTC"):
        return UserError(
            f"CUDA's compiler does not take the kernel ({doing}): {text[:300]}",
            where="parameters.backend",
            remedy="pip install -U nvidia-cuda-nvrtc: an older one does not know a newer device",
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
    except ImportError as error:  # also without cuda-bindings, which it stands on
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


class _Plan:
    """The library's plan for a step, bound to a stream; called, it queues the transform there."""

    def __init__(self, step: Fft, stream: Any) -> None:
        self._library, self._handle = library, handle = _cufft(), ctypes.c_int()
        _fft_done(library.cufftPlan1d(ctypes.byref(handle), step.nfft, _R2C, step.rows))
        weakref.finalize(self, library.cufftDestroy, handle)
        _fft_done(library.cufftSetStream(handle, ctypes.c_void_p(int(stream.handle))))
        self._source = ctypes.c_void_p(step.source.address)
        self._target = ctypes.c_void_p(step.target.address)

    def __call__(self, stream: Any) -> None:
        del stream  # the plan's own; a recording of it takes the call up as well
        _fft_done(self._library.cufftExecR2C(self._handle, self._source, self._target))


def _fft_done(status: int) -> None:
    if status:
        full = " (OUT_OF_MEMORY)" if status == _FFT_ALLOC_FAILED else ""
        raise RuntimeError(f"cuFFT error {status}{full}")
