"""Interchangeable libraries that turn windowed frames into spectra."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import MissingExtraError
from flyback.workloads.spectral.fused import plan_mkl, plan_pyfftw

__all__ = ["ENGINES", "Engine", "Transform", "choose", "installed"]

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
    """

    package: str
    plan: Callable[[Array, str], Transform]

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


def choose(name: str) -> tuple[str, Engine]:
    """The engine of that name; `auto` is the first that is installed.

    Raises:
        MissingExtraError: it is not installed.
    """
    if name == "auto":
        name = installed()[0]
    engine = ENGINES[name]
    if not _installed(engine):
        raise MissingExtraError(
            f"{name} is not installed",
            where="parameters.backend",
            remedy="pip install 'flyback[peers]', or write backend=auto",
        )
    return name, engine


def installed() -> tuple[str, ...]:
    """Names of the engines that this environment can run, fastest first."""
    return tuple(name for name, engine in ENGINES.items() if _installed(engine))


def _installed(engine: Engine) -> bool:
    return importlib.util.find_spec(engine.package) is not None
