"""Interchangeable libraries that turn windowed frames into spectra."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flyback.errors import MissingExtraError
from flyback.workloads.device import open_device
from flyback.workloads.spectral.fused import plan_mkl, plan_pyfftw

if TYPE_CHECKING:
    from flyback.workloads.spectral.cuda.steps import Driver

__all__ = ["ENGINES", "Engine", "Transform", "choose", "cuda_engines", "installed"]

Array = npt.NDArray[Any]
Transform = Callable[[Array], Array]
"""Frames of shape (…, nfft) to spectra of shape (…, nfft // 2 + 1); each result is a new array."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One library.

    Args:
        package: What must be installed, by the name that it is imported under.
        plan: Window (nfft,) in the element type of the frames, and `magnitude` or `complex`, to
            the transform. What it allocates there is reused by every call.
        device: What it computes on.
        describe: The record's `device`; None is this machine's processor.
    """

    package: str
    plan: Callable[[Array, str], Transform]
    device: str = "cpu"
    describe: Callable[[], Mapping[str, Any]] | None = None

    @property
    def version(self) -> str:
        """The installed release, as the package itself says."""
        return str(importlib.import_module(self.package).__version__)


class _Windowed:
    """Frames times window, into memory that is allocated once per shape."""

    def __init__(self, window: Array) -> None:
        self._window = window
        self._product = np.empty(0, window.dtype)

    def __call__(self, frames: Array) -> Array:
        if self._product.shape != frames.shape:
            self._product = np.empty(frames.shape, self._window.dtype)
        return np.multiply(frames, self._window, out=self._product)


def _numpy(window: Array, output: str) -> Transform:
    windowed = _Windowed(window)
    complex_type = np.result_type(window.dtype, np.complex64)
    scratch: dict[tuple[int, ...], Array] = {}

    def magnitude(frames: Array) -> Array:
        product = windowed(frames)
        spectrum = scratch.get(product.shape)
        if spectrum is None:
            scratch.clear()
            shape = (*product.shape[:-1], product.shape[-1] // 2 + 1)
            spectrum = scratch[product.shape] = np.empty(shape, complex_type)
        return np.asarray(np.abs(np.fft.rfft(product, out=spectrum)))

    def complex_spectrum(frames: Array) -> Array:
        return np.fft.rfft(windowed(frames))

    return magnitude if output == "magnitude" else complex_spectrum


def _scipy(window: Array, output: str) -> Transform:
    from scipy.fft import rfft

    windowed = _Windowed(window)

    def magnitude(frames: Array) -> Array:
        return np.asarray(np.abs(rfft(windowed(frames), overwrite_x=True)))

    def complex_spectrum(frames: Array) -> Array:
        return np.asarray(rfft(windowed(frames), overwrite_x=True))

    return magnitude if output == "magnitude" else complex_spectrum


ENGINES: dict[str, Engine] = {
    # Fastest first. One frame of 2 x 4096 in float32 on one core of a 2.1 GHz Xeon:
    # MKL 12 us, FFTW 11 to 18 us (plans are measured, so a busy machine spoils them), SciPy 1.17
    # 40 us, NumPy 2.4 51 us.
    "mkl": Engine(package="mkl_fft", plan=plan_mkl),
    "pyfftw": Engine(package="pyfftw", plan=plan_pyfftw),
    "scipy": Engine(package="scipy", plan=_scipy),
    "numpy": Engine(package="numpy", plan=_numpy),
}


def cuda_engines(wait: str) -> dict[str, Engine]:
    """Engines on a CUDA device, the one with the fewest starts first; not yet timed on any."""

    def ours(name: str) -> Engine:
        def plan(window: Array, output: str) -> Transform:
            from flyback.workloads.spectral.cuda.transform import DeviceTransform

            return DeviceTransform(_driver(), name, window, output, wait)

        return Engine(
            package="cuda.core", plan=plan, device="cuda", describe=lambda: _driver().describe()
        )

    def torch_graph(window: Array, output: str) -> Transform:
        from flyback.workloads.spectral.cuda.torch_engines import TorchGraph

        return TorchGraph(window, output)

    def torch_eager(window: Array, output: str) -> Transform:
        from flyback.workloads.spectral.cuda.torch_engines import eager

        return eager(window, output)

    def torch(plan: Callable[[Array, str], Transform]) -> Engine:
        def describe() -> Mapping[str, Any]:
            return open_device("cuda").describe()

        return Engine(package="torch", plan=plan, device="cuda", describe=describe)

    return {
        "fused": ours("fused"),
        "torch-graph": torch(torch_graph),
        "cufft": ours("cufft"),
        "torch": torch(torch_eager),
    }


@functools.cache
def _driver() -> Driver:
    from flyback.workloads.spectral.cuda.driver import CudaDriver

    return CudaDriver()


def choose(name: str, device: str = "cpu", wait: str = "spin") -> tuple[str, Engine]:
    """The engine of that name; `auto` is the first that is installed.

    Args:
        name: Of the engine.
        device: `cpu` or `cuda`.
        wait: How an engine on a device waits for it.

    Raises:
        MissingExtraError: it is not installed.
    """
    engines = ENGINES if device == "cpu" else cuda_engines(wait)
    if name == "auto":
        name = next((each for each in engines if _installed(engines[each])), next(iter(engines)))
    engine = engines[name]
    if not _installed(engine):
        extra, instead = ("peers", "auto") if device == "cpu" else ("gpu", "torch")
        raise MissingExtraError(
            f"{name} is not installed",
            where="parameters.backend",
            remedy=f"pip install 'flyback[{extra}]', or write backend={instead}",
        )
    return name, engine


def installed() -> tuple[str, ...]:
    """Names of the engines that this machine's processor can run, fastest first."""
    return tuple(name for name, engine in ENGINES.items() if _installed(engine))


def _installed(engine: Engine) -> bool:
    try:
        return importlib.util.find_spec(engine.package) is not None
    except ModuleNotFoundError:  # of a package within a package
        return False
