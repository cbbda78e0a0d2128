"""The driver of a real device, over stand-ins for the calls that need one.

What needs none is NVIDIA's own: the handling of kernels' arguments, launch configurations, options
of the compiler, and the enumerations of the driver.
"""

from __future__ import annotations

import ctypes
import gc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated_gpu import EmulatedDriver

from flyback.errors import MissingExtraError, UserError
from flyback.workloads.cuda_faults import SkippedError
from flyback.workloads.spectral.cuda import driver as ours
from flyback.workloads.spectral.cuda.driver import CudaDriver
from flyback.workloads.spectral.cuda.transform import DeviceTransform
from flyback.workloads.spectral.framing import frames_of

pytestmark = pytest.mark.extended  # needs cuda-core, and a C++ compiler stands in for the GPU

THREADS, OPTIN = 256, 227 * 1024


class Stream:
    """Done at once, unless something is recorded on it."""

    def __init__(self, log: list[str]) -> None:
        self.handle = 7
        self.log = log
        self.recorded: list[Callable[[], None]] | None = None

    def do(self, action: Callable[[], None]) -> None:
        """Now, or with each launch of the graph."""
        if self.recorded is None:
            action()
        else:
            self.recorded.append(action)

    def sync(self) -> None:
        self.log.append("sync")

    def create_graph_builder(self) -> Stream:
        builder = Stream(self.log)
        builder.recorded = []
        return builder

    def begin_building(self) -> Stream:
        return self

    end_building = complete = begin_building

    def launch(self, stream: Stream) -> None:
        self.log.append("graph")
        for action in self.recorded or ():
            action()
        assert stream.recorded is None


class Buffer:
    """Memory of the host."""

    def __init__(self, size: int, *, stream: Stream) -> None:
        assert stream.recorded is None
        self._memory = np.full(size, 0xFF, np.uint8)
        self.handle = self._memory.ctypes.data
        self.size = size

    def copy_to(self, dst: Buffer, *, stream: Stream) -> None:
        assert dst.size == self.size
        stream.do(
            lambda: setattr(self, "moved", ctypes.memmove(dst.handle, self.handle, self.size))
        )

    def fill(self, value: int, *, stream: Stream) -> None:
        stream.do(lambda: self._memory.fill(value))


class Core:
    """As much of cuda-core as needs a device."""

    __version__ = "1.2.2"

    def __init__(self, folder: Path) -> None:
        import cuda.core

        self.LaunchConfig = cuda.core.LaunchConfig
        self.ProgramOptions = cuda.core.ProgramOptions
        self.log: list[str] = []
        self.streams: list[Stream] = []
        self.kernels = EmulatedDriver(folder)
        self.fails: Exception | None = None

    def Device(self, index: int) -> Any:  # noqa: N802  # NVIDIA's name
        assert index == 0
        return types.SimpleNamespace(
            set_current=lambda: None,
            create_stream=self._stream,
            properties=types.SimpleNamespace(
                max_shared_memory_per_block_optin=OPTIN, multiprocessor_count=132
            ),
            compute_capability=(9, 0),
            arch="90",
            name="stand-in",
            device_id=0,
            allocate=Buffer,
        )

    def LegacyPinnedMemoryResource(self) -> Any:  # noqa: N802  # NVIDIA's name
        return types.SimpleNamespace(allocate=Buffer)

    def Program(self, source: str, kind: str, options: Any) -> Any:  # noqa: N802  # as above
        assert (kind, options.arch) == ("c++", "sm_90")
        defines = {name: int(value) for name, value in options.define_macro}

        def get_kernel(name: str) -> Any:
            call = self.kernels.kernel(source, name, defines)
            return types.SimpleNamespace(call=call, handle=11, name=name)

        return types.SimpleNamespace(
            compile=lambda target: types.SimpleNamespace(get_kernel=get_kernel, target=target)
        )

    def launch(self, stream: Stream, config: Any, kernel: Any, *arguments: Any) -> None:
        """By NVIDIA's own rules for arguments: a bare int is an address."""
        from cuda.core._kernel_arg_handler import ParamHolder

        if self.fails:
            raise self.fails
        assert ParamHolder(arguments)
        assert config.block == (THREADS, 1, 1)
        values = [ctypes.c_void_p(x) if isinstance(x, int) else x for x in arguments]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(x) for x in values))
        blocks = ctypes.c_uint(config.grid[0])

        def call() -> None:
            assert values  # what the addresses lead to
            kernel.call(blocks, 0, addresses)

        stream.do(call)

    def _stream(self) -> Stream:
        self.streams.append(Stream(self.log))
        return self.streams[-1]


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    """In the place of cuda-core; the driver's calls that the device would answer are answered."""
    from cuda.bindings import driver

    core, ok = Core(tmp_path), driver.CUresult.CUDA_SUCCESS
    asked: dict[str, Any] = {
        "cuInit": (ok,),
        "cuDriverGetVersion": (ok, 13000),
        "cuMemGetInfo": (ok, 1 << 30, 2 << 30),
        "cuKernelSetAttribute": (ok,),
        "cuStreamQuery": (driver.CUresult.CUDA_ERROR_NOT_READY,),
        "cuEventCreate": (ok, 5),
        "cuEventRecord": (ok,),
        "cuEventSynchronize": (ok,),
        "cuEventDestroy": (ok,),
    }

    def answer(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            core.log.append(" ".join([name, *(str(int(x)) for x in arguments)]))
            return asked[name]

        return call

    for name in asked:
        monkeypatch.setattr(driver, name, answer(name))
    monkeypatch.setattr(ours, "_core", lambda: core)
    return core


def frames(nfft: int, count: int) -> Any:
    """Noise, cut."""
    stream = np.random.default_rng(5).standard_normal((2, nfft * count), dtype=np.float32)
    return frames_of(stream, nfft, nfft // 2)


def expected(given: Any) -> Any:
    """By NumPy."""
    return np.abs(np.fft.rfft(given.astype(np.float64)))


def test_a_frame_goes_through_the_driver(core: Core) -> None:
    """One graph of one kernel, polled for: no wait of the driver's, and the right spectrum."""
    device = CudaDriver()
    transform = DeviceTransform(device, "fused", np.ones(256, np.float32), "magnitude", "spin")
    given = frames(256, 1)
    transform(given)
    core.log.clear()
    np.testing.assert_allclose(transform(given), expected(given), rtol=0, atol=2e-4)
    assert core.log == ["graph"]
    assert device.shared_bytes_max == OPTIN
    found = device.describe()
    assert found["compute_capability"] == "9.0"
    assert found["cuda"] == "13.0"
    assert "driver" in found  # as torch's engines have it: their fingerprints must agree
    assert device.free_bytes() == 1 << 30


def test_block_sleeps_and_copies_spin(core: Core) -> None:
    """`block` waits for an event that asks for an interrupt: a stream's own wait would spin."""
    device, given = CudaDriver(), frames(256, 1)
    transform = DeviceTransform(device, "fused", np.ones(256, np.float32), "magnitude", "block")
    transform(given)
    transform(given)
    waits = ["cuEventRecord 5 7", "cuEventSynchronize 5"]
    events = [line for line in core.log if line.startswith("cuEvent")]
    assert events == ["cuEventCreate 3", *waits, *waits]  # one event for all frames
    del transform
    gc.collect()
    assert core.log[-1] == "cuEventDestroy 5"
    many = frames(4096, 60)
    transform = DeviceTransform(device, "fused", np.ones(4096, np.float32), "magnitude", "spin")
    np.testing.assert_allclose(transform(many), expected(many), rtol=0, atol=2e-3)
    assert core.log[-1] == "sync"
    assert len(core.streams) == 2  # one piece is copied while the other computes


def test_more_shared_memory_is_asked_for(core: Core) -> None:
    """Above 48 KiB a kernel must ask, or its launch fails."""
    from cuda.bindings import driver

    device, given = CudaDriver(), frames(8192, 1)
    DeviceTransform(device, "fused", np.ones(8192, np.float32), "magnitude", "spin")(given)
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert f"cuKernelSetAttribute {int(attribute)} {8 * 8192} 11 0" in core.log


def test_a_kernel_that_hangs_is_given_up(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is asked, not waited for; what it knows is said."""
    from cuda.bindings import driver

    from flyback.workloads.spectral.cuda import transform as module

    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(Stream, "launch", lambda *_: None)
    transform = DeviceTransform(
        CudaDriver(), "fused", np.ones(256, np.float32), "magnitude", "spin"
    )
    with pytest.raises(UserError, match="is still at it"):
        transform(frames(256, 1))
    status = driver.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    monkeypatch.setattr(driver, "cuStreamQuery", lambda _: (status,))
    with pytest.raises(UserError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        transform(frames(256, 1))
    assert core.log[-1] == "cuStreamQuery 7"


def test_a_frame_that_does_not_start_is_not_waited_for(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is a sentence, and the next frame has its own result."""
    transform = DeviceTransform(
        CudaDriver(), "fused", np.ones(256, np.float32), "magnitude", "spin"
    )
    given = frames(256, 1)
    transform(given)

    def refuse(*_: Any) -> None:
        raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")

    with monkeypatch.context() as patch:
        patch.setattr(Stream, "launch", refuse)
        with pytest.raises(UserError, match="while starting"):
            transform(given)
    np.testing.assert_allclose(transform(given), expected(given), rtol=0, atol=2e-4)
    core.fails = RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
    with pytest.raises(UserError, match="memory is full"):
        transform(frames(256, 2))


def test_an_old_driver_is_told(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is compiled that it can't load."""
    del core
    from cuda.bindings import driver

    known = (driver.CUresult.CUDA_SUCCESS, 12080)
    monkeypatch.setattr(driver, "cuDriverGetVersion", lambda: known)
    with pytest.raises(SkippedError, match="knows CUDA 12, and this is built for CUDA 13"):
        CudaDriver()


def test_a_missing_cufft_says_what_to_install(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other engines go on without it."""
    import cuda.pathfinder

    def missing(_: str) -> None:
        raise cuda.pathfinder.DynamicLibNotFoundError("Failure finding libcufft.so.12")

    monkeypatch.setattr(cuda.pathfinder, "load_nvidia_dynamic_lib", missing)
    ours._cufft.cache_clear()
    transform = DeviceTransform(
        CudaDriver(), "cufft", np.ones(256, np.float32), "magnitude", "spin"
    )
    with pytest.raises(MissingExtraError, match="library of CUDA is not installed"):
        transform(frames(256, 1))
    assert core.streams


class Library:
    """As much of cuFFT as a plan takes."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def cufftPlan1d(self, handle: Any, nfft: int, kind: int, rows: int) -> int:  # noqa: N802  # NVIDIA's names
        handle._obj.value = 3
        self.calls.append(("plan", nfft, kind, rows))
        self.shape = (rows, nfft)
        return 0

    def cufftSetStream(self, handle: Any, stream: Any) -> int:  # noqa: N802  # NVIDIA's names
        self.calls.append(("stream", handle.value, stream.value))
        return 0

    def cufftExecR2C(self, handle: Any, source: Any, target: Any) -> int:  # noqa: N802  # NVIDIA's names
        assert handle.value == 3
        memory = (ctypes.c_float * (self.shape[0] * self.shape[1])).from_address(source.value)
        spectra = np.fft.rfft(np.frombuffer(memory, np.float32).reshape(self.shape))
        found = spectra.astype(np.complex64)
        ctypes.memmove(target.value, found.ctypes.data, found.nbytes)
        return 0

    def cufftDestroy(self, handle: Any) -> int:  # noqa: N802  # NVIDIA's names
        self.calls.append(("destroy", handle.value))
        return 0


def test_a_plan_is_bound_once_and_given_back(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual pipeline through the library, without a call that it could do without."""
    library = Library()
    monkeypatch.setattr(ours, "_cufft", lambda: library)
    transform = DeviceTransform(
        CudaDriver(), "cufft", np.ones(256, np.float32), "magnitude", "spin"
    )
    given = frames(256, 1)
    for _ in range(2):
        np.testing.assert_allclose(transform(given), expected(given), rtol=0, atol=2e-4)
    del transform
    assert library.calls == [("plan", 256, 0x2A, 2), ("stream", 3, 7), ("destroy", 3)]
    assert core.streams
