"""The spectral workload: what is timed, what it is held against, and how much work it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.workloads.spectral.declaration import SpectralParameters
from flyback.workloads.spectral.digest import chained
from flyback.workloads.spectral.engines import Transform, choose
from flyback.workloads.spectral.framing import Framer, Loop, frames_of
from flyback.workloads.spectral.loading import load
from flyback.workloads.spectral.recording import inspect, suits
from flyback.workloads.spectral.signals import SIGNALS, synthesize
from flyback.workloads.spectral.windows import coefficients
from flyback.workloads.workload import Comparison, Journey, Prepared, Stream, Work, Workload

__all__ = ["SNR_FLOOR_DB", "Spectral", "reference_spectra", "stream_spectra"]

Array = npt.NDArray[Any]

SNR_FLOOR_DB = {"float32": 120.0, "float64": 250.0}
"""Least SNR of any single spectrum. Sane transforms reach 139-145 dB in float32 and 300 in float64;
the floors catch an error in the sixth and twelfth digit."""

_REFERENCE = {"float32": "float64", "float64": "longdouble"}
_DEFAULT_FS_HZ = 100_000.0
_DEFAULT_CHANNELS = 2
_GATE_FRAMES = 8
_LOOP_FRAMES = 256  # long enough that no two timed frames in a row see the same samples
_LOOP_SAMPLES = 1 << 20  # of all channels: what is timed stays in cache, as a live signal is


@dataclass(frozen=True)
class _Input:
    """The signal: shape (channels, samples), in the element type that is computed in."""

    samples: Array
    fs_hz: float
    source: Mapping[str, Any]


def reference_spectra(parameters: SpectralParameters, frames: Array, output: str) -> Array:
    """Spectra of frames of shape (…, nfft) in the next wider element type.

    For float64 that is `longdouble`: 80 bits on x86, on some machines no wider than 64.
    """
    wide = np.dtype(_REFERENCE[parameters.dtype])
    spectra = np.fft.rfft(frames.astype(wide) * coefficients(parameters).astype(wide))
    return np.abs(spectra) if output == "magnitude" else spectra


def stream_spectra(framer: Framer, transform: Transform, chunk: Array) -> Iterator[Array]:
    """Spectra of the frames that a chunk completes: (channels, bins) each, as they are ready."""
    for frame in framer.push(chunk):
        yield transform(frame)


class Spectral(Workload[SpectralParameters]):
    """Window, real FFT, magnitude.

    A frame of 2 x 4096 is 0.27 MFLOP on 49 kB, both in a core's cache: a microsecond of work, so
    what is measured is mostly the way there (calls, copies, and on a GPU the launch and the bus).
    Batches amortise that way and are limited by arithmetic (2.5 N log2 N operations per transform
    of N real samples) or, once they leave the cache, by memory. Times in ns, rates per second;
    margin is signal time over wall time.

    Streaming: a call takes in the next chunk of each channel and yields the spectrum of every
    frame that it completes. Batch: a call yields the spectra of `batch` frames at once, and the
    next call goes on where it ended.
    """

    def setup(self, parameters: SpectralParameters) -> Prepared:
        self._parameters = p = parameters
        self._input = _load_input(p)
        self._channels = self._input.samples.shape[0]
        name, engine = choose(p.backend, p.device, p.wait)
        window = coefficients(p).astype(p.dtype)
        self._transforms = {kind: engine.plan(window, kind) for kind in ("magnitude", "complex")}
        self._transform = self._transforms[p.output]
        self._chunk = p.chunk or p.hop
        self._framer = Framer(self._channels, p.nfft, p.hop, p.dtype)
        self._span = p.nfft + (p.frames_per_call - 1) * p.hop
        self._loop = Loop(self._input.samples, max(self._span, self._chunk))
        self._position = 0  # first sample that the next call takes in
        described = self._describe(name, engine.version)
        if engine.describe is None:
            return described
        return dataclasses.replace(described, device=engine.describe())

    def run(self) -> Iterator[Array]:
        if self._parameters.mode == "streaming":
            chunk = self._loop.take(self._position, self._chunk)
            self._position += self._chunk
            return stream_spectra(self._framer, self._transform, chunk)
        return self._run_batch()

    def reference(self) -> Array:
        p = self._parameters
        if p.mode == "streaming":
            frames = self._loop.take((self._framer.frames - 1) * p.hop, p.nfft)
        else:
            last = self._position - p.frames_per_call * p.hop
            frames = frames_of(self._loop.take(last, self._span), p.nfft, p.hop)
        return reference_spectra(p, frames, p.output)

    def gate(self) -> Iterator[Comparison]:
        """Every kind of signal, and the input itself, as magnitude and as complex spectra."""
        p = self._parameters
        length = p.nfft + (_GATE_FRAMES - 1) * p.hop
        inputs = {
            kind: synthesize(kind, (self._channels, length), p.nfft, p.seed + 1).astype(p.dtype)
            for kind in SIGNALS
        }
        if p.recording is not None:
            inputs["recording"] = self._input.samples[:, :length]
        for label, signal in inputs.items():
            frames = frames_of(signal, p.nfft, p.hop)
            for kind, transform in self._transforms.items():
                yield Comparison(
                    label=label,
                    kind=kind,
                    actual=self._offline(transform, signal, frames),
                    expected=reference_spectra(p, frames, kind),
                )

    def whole(self, journey: Journey) -> Mapping[str, Any] | None:
        p = self._parameters
        if p.mode != "digest":
            return None
        step = p.frames_per_call * p.hop

        def spectra(number: int) -> Array:
            stretch = self._loop.take(number * step, self._span)
            return self._transform(frames_of(stretch, p.nfft, p.hop))

        about = {**dataclasses.asdict(p), "input": dict(self._input.source)}
        identity = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return chained(spectra, -(-p.frames // p.frames_per_call), identity, journey)

    def work(self) -> Work:
        """Operations and bytes of a frame.

        FFT 2.5 N log2 N (half of Cooley and Tukey's 5 N log2 N, the input being real), window N,
        magnitude 4 per bin; each sample is read once, each bin written once. To a device, samples
        that frames of a call share go once.
        """
        p = self._parameters
        frames = p.frames_per_call
        each = 2.5 * p.nfft * math.log2(p.nfft) + p.nfft
        each += 4 * p.bins if p.output == "magnitude" else 0
        size = np.dtype(p.dtype).itemsize * self._channels * frames
        come, go = p.nfft * size, p.bins * (1 if p.output == "magnitude" else 2) * size
        on_device = p.device == "cuda"
        return Work(
            flops=round(each) * self._channels * frames,
            bytes=come + go,
            items=frames,
            item_unit="frame",
            bytes_h2d=min(come, self._span * size // frames) if on_device else 0,
            bytes_d2h=go if on_device else 0,
            launches=1 if on_device else 0,
        )

    def _run_batch(self) -> Iterator[Array]:
        p = self._parameters
        stretch = self._loop.take(self._position, self._span)
        self._position += p.frames_per_call * p.hop
        yield self._transform(frames_of(stretch, p.nfft, p.hop))

    def _offline(self, transform: Transform, signal: Array, frames: Array) -> Array:
        """Spectra of a short signal by the way that is timed."""
        p = self._parameters
        if p.mode != "streaming":
            return transform(frames)
        framer = Framer(signal.shape[0], p.nfft, p.hop, p.dtype)
        cuts = np.random.default_rng(p.seed).integers(0, signal.shape[1] + 1, 2 * _GATE_FRAMES)
        spectra = [
            spectrum
            for chunk in np.split(signal, np.sort(cuts), axis=1)
            for spectrum in stream_spectra(framer, transform, chunk)
        ]
        return np.stack(spectra)

    def _describe(self, backend: str, version: str) -> Prepared:
        p, fs_hz = self._parameters, self._input.fs_hz
        deadline_ns = Fraction(p.frames_per_call * p.hop * 10**9) / Fraction(fs_hz)
        if p.deadline_us is not None:
            deadline_ns = Fraction(p.deadline_us) * 1000
        return Prepared(
            backend={"name": backend, "version": version},
            dtype=p.dtype,
            warmup=-(-p.warmup // p.frames_per_call),
            samples=-(-p.frames // p.frames_per_call),
            snr_floor_db=SNR_FLOOR_DB[p.dtype],
            reference=_REFERENCE[p.dtype],
            stream=Stream(
                fs_hz=fs_hz,
                nfft=p.nfft,
                hop=p.hop,
                channels=self._channels,
                deadline_ns=int(deadline_ns),
            ),
            period_ns=self._period_ns(fs_hz) if p.arrival == "open" else None,
            method={"input": {**self._input.source, "samples": self._input.samples.shape[1]}},
        )

    def _period_ns(self, fs_hz: float) -> int:
        """Time in which the new samples of a call arrive."""
        p = self._parameters
        new = self._chunk if p.mode == "streaming" else p.frames_per_call * p.hop
        return max(1, round(new * 10**9 / fs_hz))


def _load_input(p: SpectralParameters) -> _Input:
    if p.recording is None:
        channels = p.channels or _DEFAULT_CHANNELS
        length = min(p.nfft + _LOOP_FRAMES * p.hop, max(_LOOP_SAMPLES // channels, p.nfft))
        samples = synthesize(p.signal, (channels, length), p.nfft, p.seed).astype(p.dtype)
        fs_hz = p.fs_hz or _DEFAULT_FS_HZ
        return _Input(samples, fs_hz, {"kind": "synthetic", "signal": p.signal})
    found = inspect(Path(p.recording))
    suits(found, p.nfft, p.channels, p.fs_hz)
    loaded = load(found, p.dtype)
    shape = loaded.samples.shape
    known = dataclasses.replace(found, fs_hz=loaded.fs_hz, channels=shape[0], samples=shape[1])
    suits(known, p.nfft, p.channels, p.fs_hz)
    fs_hz = loaded.fs_hz or p.fs_hz or _DEFAULT_FS_HZ
    source = {"kind": "recording", "file": found.path.name, "sha256": loaded.sha256}
    return _Input(loaded.samples, fs_hz, source)
