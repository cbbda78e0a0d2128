"""The ways from frames to spectra on a device: ours, and the one that it is compared with."""

from __future__ import annotations

import ctypes
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import UserError
from flyback.workloads.spectral.cuda.steps import Copy, Driver, Fft, Launch, Memory, Step

__all__ = ["MAPPED_BYTES", "RECIPES", "Constants", "Piece", "Recipe", "constants"]

Array = npt.NDArray[Any]

MAPPED_BYTES = 1 << 18
"""Input from which a copy engine is worth its start: below it, the kernel reads over the bus."""

_FUSED_NFFT_MIN = 64
_THREADS = 256
_COMPLEX_BYTES = 8
_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of signal and the frames in it.

    Args:
        frames: Frames, `hop` samples apart.
        channels: Channels, one after the other in memory.
        nfft: Samples per frame.
        hop: Samples from frame to frame; of no meaning for a single frame.
        complex_output: Spectra as they are, not their magnitude.
    """

    frames: int
    channels: int
    nfft: int
    hop: int
    complex_output: bool

    @property
    def span(self) -> int:
        """Samples of each channel."""
        return (self.frames - 1) * self.hop + self.nfft

    @property
    def rows(self) -> int:
        """Transforms."""
        return self.frames * self.channels

    @property
    def input_bytes(self) -> int:
        """Of all channels."""
        return self.channels * self.span * _FLOAT_BYTES

    @property
    def output_bytes(self) -> int:
        """Of all spectra."""
        each = _COMPLEX_BYTES if self.complex_output else _FLOAT_BYTES
        return self.rows * (self.nfft // 2 + 1) * each


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What every piece shares, on the device.

    Args:
        driver: The device.
        window: Coefficients, float32.
        roots: exp(-2 pi i k / nfft), complex64.
        kernels: By name.
    """

    driver: Driver
    window: Memory
    roots: Memory
    kernels: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way of computing.

    Args:
        steps: For a piece, with its input and output in the host's page-locked memory; and the
            word there that counts finished plays, where a kernel writes it.
        recorded: Whether the steps are played as one graph.
        kernels: Names of the kernels that it launches.
        nfft_most: The longest frame, given the device.
        device_bytes: Of the device's own memory that a piece takes.
    """

    steps: Callable[[Constants, Piece, Memory, Memory], tuple[list[Step], Memory | None]]
    recorded: bool
    kernels: tuple[str, ...]
    nfft_most: Callable[[Driver], int]
    device_bytes: Callable[[Piece], int]


def _fused(
    constants: Constants, piece: Piece, source: Memory, target: Memory
) -> tuple[list[Step], Memory | None]:
    """One kernel, which reads and writes the host's memory itself where there is little of it."""
    driver = constants.driver
    done = driver.pinned(_FLOAT_BYTES)
    mapped = _is_mapped(piece)
    near = source if mapped else driver.resident(piece.input_bytes)
    result = target if mapped else driver.resident(piece.output_bytes)
    launch = Launch(
        kernel=constants.kernels["spectrum"],
        blocks=piece.rows,
        threads=_THREADS,
        shared_bytes=piece.nfft * _COMPLEX_BYTES,
        arguments=(
            *_frames(near, piece),
            constants.window,
            constants.roots,
            result,
            driver.resident(2 * _FLOAT_BYTES),
            done,
        ),
    )
    if mapped:
        return [launch], done
    # The kernel's word comes before the copy of its results: these are waited for by the queue.
    return [Copy(source=source, target=near), launch, Copy(source=result, target=target)], None


def _library(
    constants: Constants, piece: Piece, source: Memory, target: Memory
) -> tuple[list[Step], Memory | None]:
    """Copy, window, the library's FFT, magnitude, copy: the pipeline of published engines."""
    driver = constants.driver
    near = driver.resident(piece.input_bytes)
    weighed = driver.resident(piece.rows * piece.nfft * _FLOAT_BYTES)
    spectra = driver.resident(piece.rows * (piece.nfft // 2 + 1) * _COMPLEX_BYTES)
    window = Launch(
        kernel=constants.kernels["weigh"],
        blocks=piece.rows,
        threads=_THREADS,
        shared_bytes=0,
        arguments=(*_frames(near, piece), constants.window, weighed),
    )
    steps: list[Step] = [
        Copy(source=source, target=near),
        window,
        Fft(source=weighed, target=spectra, rows=piece.rows, nfft=piece.nfft),
    ]
    if piece.complex_output:
        return [*steps, Copy(source=spectra, target=target)], None
    result = driver.resident(piece.output_bytes)
    reduce = Launch(
        kernel=constants.kernels["magnitude"],
        blocks=piece.rows,
        threads=_THREADS,
        shared_bytes=0,
        arguments=(spectra, result),
    )
    return [*steps, reduce, Copy(source=result, target=target)], None


def _frames(near: Memory, piece: Piece) -> tuple[Any, ...]:
    """Where the frames are, as every kernel takes it."""
    strides = ctypes.c_longlong(piece.hop), ctypes.c_longlong(piece.span)
    return near, *strides, ctypes.c_int(piece.channels)


def _is_mapped(piece: Piece) -> bool:
    return max(piece.input_bytes, piece.output_bytes) <= MAPPED_BYTES


def _fused_bytes(piece: Piece) -> int:
    return 0 if _is_mapped(piece) else piece.input_bytes + piece.output_bytes


def _library_bytes(piece: Piece) -> int:
    frames = piece.rows * (piece.nfft * _FLOAT_BYTES + (piece.nfft // 2 + 1) * _COMPLEX_BYTES)
    return piece.input_bytes + frames + (0 if piece.complex_output else piece.output_bytes)


def _fits_shared(driver: Driver) -> int:
    """Both halves of the transform lie in a block's shared memory."""
    most = driver.shared_bytes_max // _COMPLEX_BYTES
    return 1 << (most.bit_length() - 1)


RECIPES: dict[str, Recipe] = {
    "fused": Recipe(
        steps=_fused,
        recorded=True,
        kernels=("spectrum",),
        nfft_most=_fits_shared,
        device_bytes=_fused_bytes,
    ),
    "cufft": Recipe(
        steps=_library,
        recorded=False,
        kernels=("weigh", "magnitude"),
        nfft_most=lambda _: 1 << 20,
        device_bytes=_library_bytes,
    ),
}


def constants(driver: Driver, name: str, window: Array, output: str) -> Constants:
    """What a recipe needs for frames of the window's length.

    Raises:
        UserError: its kernel takes no frame of that length on this device.
    """
    recipe, nfft = RECIPES[name], window.size
    least, most = _FUSED_NFFT_MIN if name == "fused" else 2, recipe.nfft_most(driver)
    if not least <= nfft <= most:
        raise UserError(
            f"the {name} engine takes frames of {least} to {most} samples here, not {nfft}",
            where="parameters.nfft",
            remedy="write backend=cufft or backend=torch",
        )
    angles = -2j * np.pi * np.arange(nfft) / nfft
    source = importlib.resources.files(__package__).joinpath("spectrum.cu").read_text()
    defines = {"NFFT": nfft, "THREADS": _THREADS, "COMPLEX_OUTPUT": int(output == "complex")}
    return Constants(
        driver=driver,
        window=driver.resident(window.astype(np.float32)),
        roots=driver.resident(np.exp(angles).astype(np.complex64)),
        kernels={each: driver.kernel(source, each, defines) for each in recipe.kernels},
    )
