"""Recordings as arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import MissingExtraError
from flyback.workloads.spectral import sigmf
from flyback.workloads.spectral.recording import Recording, unusable

__all__ = ["Loaded", "load"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A recording in memory.

    Args:
        samples: Shape (channels, samples); whole-number formats are scaled to [-1, 1).
        fs_hz: Sampling rate, Hz; None where the file does not say.
        sha256: Of the file of samples, hexadecimal.
    """

    samples: Array
    fs_hz: float | None
    sha256: str


def load(recording: Recording, dtype: str) -> Loaded:
    """Read all samples.

    Args:
        recording: From `inspect`.
        dtype: `float32` or `float64`.

    Raises:
        UserError: the samples are fewer than the header says, unreadable or not finite.
        MissingExtraError: soundfile is not installed.
    """
    if recording.format in ("wav", "sound"):
        samples, rate, source = _sound(recording, dtype)
        fs_hz: float | None = rate
    else:
        samples, source = _raw(recording, dtype)
        fs_hz = recording.fs_hz
    if recording.samples not in (samples.shape[1], None):
        raise unusable(
            recording.path,
            f"is truncated: its header promises {recording.samples} samples per channel, "
            f"{samples.shape[1]} could be read",
        )
    finite = np.isfinite(samples)
    if not finite.all():
        channel, position = np.argwhere(~finite)[0]
        raise unusable(
            recording.path,
            f"holds {samples[channel, position]} at sample {position} of channel {channel}",
            "remove what is not a finite number",
        )
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Loaded(samples=np.ascontiguousarray(samples), fs_hz=fs_hz, sha256=sha256)


def _sound(recording: Recording, dtype: str) -> tuple[Array, float, Path]:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package without its library
        raise MissingExtraError(
            "sound files are read with soundfile, which is not installed",
            where=f"recording {recording.path}",
            remedy="pip install 'flyback[bench]'",
        ) from error
    try:
        data, rate = soundfile.read(str(recording.path), dtype=dtype, always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise unusable(recording.path, f"can't be read as sound: {error}") from error
    return data.T, float(rate), recording.path


def _raw(recording: Recording, dtype: str) -> tuple[Array, Path]:
    source = recording.path
    if recording.format == "sigmf":
        header = sigmf.read(recording.path)
        source = header.data
        try:
            sigmf.verify(header)
        except sigmf.SigmfError as error:
            raise unusable(recording.path, str(error), error.remedy) from error
    layout = np.dtype(recording.layout)
    channels, samples = recording.channels or 1, recording.samples or 0
    data = np.fromfile(source, layout, count=channels * samples, offset=recording.offset)
    data = data[: data.size // channels * channels].reshape(-1, channels).T.astype(dtype)
    if layout.kind == "i":
        data *= 2.0 ** (1 - 8 * layout.itemsize)
    return data, source
