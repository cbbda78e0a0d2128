"""Transforms that stay in a core's own cache: blocks of rows, window and magnitude compiled.

A batch that is windowed, transformed and reduced as a whole crosses the memory three times; block
by block it crosses once. One thread, always: a second one makes a frame wait for a processor that
a busy machine does not give.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["plan_mkl", "plan_pyfftw"]

Array = npt.NDArray[Any]
Forward = Callable[[], None]

_BLOCK = 1 << 16  # numbers per block: a quarter of a MiB in float32


class _Blocked:
    """Window, transform and magnitude of any number of rows.

    Args:
        window: Shape (nfft,).
        output: `magnitude` or `complex`.
        forward: Given input (rows, nfft) and output (rows, bins), a call that transforms.
    """

    def __init__(
        self, window: Array, output: str, forward: Callable[[Array, Array], Forward]
    ) -> None:
        self._window = window
        self._complex = output == "complex"
        self._kind = np.result_type(window.dtype, np.complex64)
        self._forward = forward
        self._plans: dict[int, tuple[Array, Array, Forward]] = {}
        self._direct: dict[tuple[int, ...], tuple[Array, Array, Forward]] = {}
        self._weigh, self._weigh_all, self._magnitude = _kernels()

    def __call__(self, frames: Array) -> Array:
        direct = self._direct.get(frames.shape)
        if direct is not None:  # one frame: nothing but the work
            rows, spectra, forward = direct
            self._weigh(frames, self._window, rows)
            forward()
            if self._complex:
                return spectra.copy()
            result = np.empty(spectra.shape, self._window.dtype)
            self._magnitude(spectra, result)
            return result
        if frames.ndim == 2 and frames.size <= _BLOCK:  # noqa: PLR2004  # one frame of several channels
            self._direct[frames.shape] = self._planned(*frames.shape)
            return self(frames)
        return self._in_blocks(frames)

    def _in_blocks(self, frames: Array) -> Array:
        nfft = frames.shape[-1]
        stacked = frames.reshape((-1, *frames.shape[-2:]))
        count, channels = stacked.shape[:2]
        kind = self._kind if self._complex else self._window.dtype
        result = np.empty((count, channels, nfft // 2 + 1), kind)
        step = max(1, _BLOCK // (nfft * channels))
        for start in range(0, count, step):
            part = stacked[start : start + step]
            rows, spectra, forward = self._planned(part.shape[0] * channels, nfft)
            self._weigh_all(part, self._window, rows.reshape(part.shape))
            forward()
            target = result[start : start + step].reshape(spectra.shape)
            if self._complex:
                target[...] = spectra
            else:
                self._magnitude(spectra, target)
        return result.reshape((*frames.shape[:-1], nfft // 2 + 1))

    def _planned(self, rows: int, nfft: int) -> tuple[Array, Array, Forward]:
        if rows not in self._plans:
            source = np.empty((rows, nfft), self._window.dtype)
            spectra = np.empty((rows, nfft // 2 + 1), self._kind)
            self._plans[rows] = (source, spectra, self._forward(source, spectra))
        return self._plans[rows]


def plan_mkl(window: Array, output: str) -> Callable[[Array], Array]:
    """Intel's MKL through mkl_fft, on one thread."""
    import mkl_fft

    def forward(source: Array, spectra: Array) -> Forward:
        def call() -> None:
            mkl_fft.rfft(source, out=spectra)

        return call

    return _Blocked(window, output, forward)


def plan_pyfftw(window: Array, output: str) -> Callable[[Array], Array]:
    """FFTW through pyFFTW, planned by measuring."""
    import pyfftw

    def forward(source: Array, spectra: Array) -> Forward:
        plan = pyfftw.FFTW(source, spectra, axes=(1,), flags=("FFTW_MEASURE",), threads=1)

        def call() -> None:
            plan.execute()

        return call

    return _Blocked(window, output, forward)


@functools.cache
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Window of rows and of frames, and magnitude, compiled where numba is installed."""
    if importlib.util.find_spec("numba") is None:
        return _weigh, _weigh, lambda spectra, out: np.abs(spectra, out=out)
    import numba

    compiled = numba.njit(fastmath={"contract"})
    return compiled(_weigh_rows), compiled(_weigh_frames), compiled(_magnitude)


def _weigh_rows(rows: Array, window: Array, out: Array) -> None:
    for i in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            out[i, k] = rows[i, k] * window[k]


def _weigh_frames(frames: Array, window: Array, out: Array) -> None:
    for i in range(frames.shape[0]):
        for j in range(frames.shape[1]):
            for k in range(frames.shape[2]):
                out[i, j, k] = frames[i, j, k] * window[k]


def _magnitude(spectra: Array, out: Array) -> None:
    for i in range(spectra.shape[0]):
        for k in range(spectra.shape[1]):
            real, imaginary = spectra[i, k].real, spectra[i, k].imag
            out[i, k] = np.sqrt(real * real + imaginary * imaginary)


def _weigh(frames: Array, window: Array, out: Array) -> None:
    np.multiply(frames, window, out=out)
