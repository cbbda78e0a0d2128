"""What a recording holds, read from its header alone.

Standard library only: a job is checked on the user's machine before anything is launched, where
NumPy need not be installed. `loading` reads the samples.
"""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flyback.errors import UserError
from flyback.workloads.spectral import sigmf

__all__ = ["SOUND_FILES", "Recording", "inspect", "suits", "unusable"]

SOUND_FILES = (".wav", ".wave", ".flac", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64", ".ogg")
"""Suffixes that libsndfile reads; of these only WAV headers are inspected here."""

_RIFF_IDS = (b"RIFF", b"RF64", b"BW64")
_UNKNOWN_SIZE = 0xFFFFFFFF  # a streaming writer's, or RF64's, whose real size is in the ds64 chunk


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording's header.

    Args:
        path: The file; for SigMF, its metadata file.
        format: `wav`, `npy`, `sigmf` or `sound` (anything else that libsndfile reads).
        fs_hz: Sampling rate, Hz; None where the file does not say.
        channels: None where only libsndfile can tell.
        samples: Per channel; None where only libsndfile can tell.
        layout: Element type, as the format writes it; empty for sound files.
        offset: Byte where the samples begin.
    """

    path: Path
    format: str
    fs_hz: float | None = None
    channels: int | None = None
    samples: int | None = None
    layout: str = ""
    offset: int = 0


def inspect(path: Path) -> Recording:
    """Read a recording's header and hold it against the size of the file.

    Raises:
        UserError: the file is missing, truncated, damaged, or of a kind that is not read.
    """
    if path.is_dir() or not path.exists():
        what = "is a folder, not a recording" if path.is_dir() else "does not exist"
        raise unusable(path, what, "a relative path starts at the job's working directory")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return _inspect_npy(path)
        if suffix in sigmf.SUFFIXES:
            return _inspect_sigmf(path)
        if suffix in (".wav", ".wave"):
            return _inspect_wav(path)
    except OSError as error:
        raise unusable(path, f"can't be read: {error.strerror}") from error
    if suffix in SOUND_FILES:
        return Recording(path=path, format="sound")
    raise unusable(
        path,
        f"recordings of kind {suffix or 'without a suffix'!r} are not read",
        f"use .npy, {', '.join(sigmf.SUFFIXES)} or {', '.join(SOUND_FILES)}",
    )


def suits(recording: Recording, nfft: int, channels: int | None, fs_hz: float | None) -> None:
    """Hold a recording against what a job asks of it.

    Raises:
        UserError: too short for one frame, other channels, or another or no sampling rate.
    """
    path = recording.path
    if channels is not None and recording.channels not in (channels, None):
        raise unusable(
            path,
            f"has {_count(recording.channels, 'channel')}, and the job asks for {channels}",
            f"write channels={recording.channels}, or leave channels out",
        )
    if recording.samples is not None and recording.samples < nfft:
        raise unusable(
            path,
            f"has {_count(recording.samples, 'sample')} per channel, too short for one frame "
            f"of {nfft}",
            "use a longer recording or a smaller nfft",
        )
    if recording.fs_hz is None and recording.format in ("npy", "sigmf") and fs_hz is None:
        raise unusable(path, "does not say its sampling rate", "add fs_hz=…, in Hz")
    if recording.fs_hz is not None and fs_hz not in (recording.fs_hz, None):
        raise unusable(
            path,
            f"was sampled at {recording.fs_hz:g} Hz, and the job says fs_hz={fs_hz:g}",
            "leave fs_hz out",
        )


def unusable(path: Path, what: str, remedy: str = "") -> UserError:
    """The error for a recording that can't be used."""
    return UserError(what, where=f"recording {path}", remedy=remedy)


def _truncated(path: Path, have: int, declared: int) -> UserError:
    return unusable(
        path,
        f"is truncated: its header promises {declared} bytes of samples, {have} are there",
        "copy or record it again",
    )


def _count(number: int | None, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ------------------------------------------------------------------------------------------ WAV


_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_LONG_SIZES = struct.Struct("<QQ")


def _inspect_wav(path: Path) -> Recording:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in _RIFF_IDS or head[8:] != b"WAVE":
            raise unusable(path, "is not a WAV file: it does not begin with RIFF … WAVE")
        layout: tuple[int, int, int] | None = None
        long_size: int | None = None
        while len(chunk := file.read(_CHUNK.size)) == _CHUNK.size:
            name, length = _CHUNK.unpack(chunk)
            start = file.tell()
            if name == b"fmt ":
                layout = _wav_format(path, file.read(min(length, _FORMAT.size)))
            elif name == b"ds64" and length >= _LONG_SIZES.size:
                long_size = _LONG_SIZES.unpack(file.read(_LONG_SIZES.size))[1]
            elif name == b"data" and layout:
                declared = _wav_data_size(length, long_size, size - start)
                return _wav(path, layout, start, declared, size - start)
            file.seek(start + length + length % 2)
    raise unusable(path, "is truncated: it ends before its samples begin")


def _wav_format(path: Path, body: bytes) -> tuple[int, int, int]:
    """Channels, rate in Hz and bytes per sample of all channels."""
    if len(body) < _FORMAT.size:
        raise unusable(path, "is truncated: it ends within its format chunk")
    _, channels, rate, _, block, _ = _FORMAT.unpack(body)
    if not (channels and rate and block):
        raise unusable(path, "is damaged: its format chunk has no channels or no rate")
    return channels, rate, block


def _wav_data_size(length: int, long_size: int | None, present: int) -> int:
    if length != _UNKNOWN_SIZE:
        return length
    return present if long_size is None else long_size


def _wav(
    path: Path, layout: tuple[int, int, int], start: int, declared: int, present: int
) -> Recording:
    if declared > present:
        raise _truncated(path, present, declared)
    channels, rate, block = layout
    return Recording(
        path=path,
        format="wav",
        fs_hz=float(rate),
        channels=channels,
        samples=declared // block,
        offset=start,
    )


# ---------------------------------------------------------------------------------------- .npy


def _inspect_npy(path: Path) -> Recording:
    """The format's own description is NumPy's NEP 1."""
    with path.open("rb") as file:
        layout, fortran, shape = _npy_header(path, file)
        offset = file.tell()
    if fortran and len(shape) > 1:
        raise unusable(path, "is in Fortran order", "save np.ascontiguousarray(array)")
    if len(shape) not in (1, 2):
        raise unusable(
            path,
            f"has {len(shape)} dimensions",
            "save an array of shape (samples,) or (samples, channels)",
        )
    samples, channels = (*shape, 1)[:2]
    if channels == 0 or channels > samples > 0:
        raise unusable(
            path,
            f"has {samples} samples in {channels} channels",
            "an array is (samples, channels), as in a sound file: save array.T",
        )
    declared = samples * channels * int(layout[2:])
    present = path.stat().st_size - offset
    if declared > present:
        raise _truncated(path, present, declared)
    return Recording(
        path=path,
        format="npy",
        channels=channels,
        samples=samples,
        layout=layout,
        offset=offset,
    )


def _npy_header(path: Path, file: BinaryIO) -> tuple[str, bool, tuple[int, ...]]:
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise unusable(path, "is not an .npy file: it does not begin with \\x93NUMPY")
    width, code = (2, "<H") if magic[6:7] == b"\x01" else (4, "<I")
    prefix = file.read(width)
    length = struct.unpack(code, prefix)[0] if len(prefix) == width else 0
    text = file.read(length)
    if not text or len(text) < length:
        raise unusable(path, "is truncated: it ends within its header")
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
        layout, fortran, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise unusable(path, "has a damaged .npy header") from error
    if isinstance(layout, str) and layout[1:2] == "c":
        raise unusable(
            path, "holds complex samples, and this workload takes real ones", "save array.real"
        )
    if layout not in _NPY_LAYOUTS:
        raise unusable(
            path,
            f"holds elements of type {layout!r}",
            "save float32, float64, int16 or int32",
        )
    return layout, bool(fortran), tuple(shape)


_NPY_LAYOUTS = ("<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "|i1", "<i2", ">i2", "<i4", ">i4")


# --------------------------------------------------------------------------------------- SigMF


def _inspect_sigmf(path: Path) -> Recording:
    try:
        header = sigmf.read(path)
    except sigmf.SigmfError as error:
        raise unusable(path, str(error), error.remedy) from error
    size = header.data.stat().st_size
    frame = int(header.layout[2:]) * header.channels
    if size % frame:
        raise unusable(
            path,
            f"is truncated: {header.data.name} has {size} bytes, no whole number of "
            f"{frame}-byte samples",
            "copy or record it again",
        )
    return Recording(
        path=path,
        format="sigmf",
        fs_hz=header.fs_hz,
        channels=header.channels,
        samples=size // frame,
        layout=header.layout,
    )
