"""What the spectral workload can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flyback.errors import UserError
from flyback.workloads.declaration import Declaration, Locate
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.spectral.recording import inspect, suits

__all__ = ["CPU_ENGINES", "CUDA_ENGINES", "DECLARATION", "PRESETS", "SpectralParameters"]

_NFFT_MIN, _NFFT_MAX = 16, 1 << 20
_ELEMENTS_MAX = 1 << 27  # of one call: half a GiB in float32
_DEFAULT_BATCH = 16
CPU_ENGINES = ("mkl", "pyfftw", "scipy", "numpy")
CUDA_ENGINES = ("fused", "torch-graph", "cufft", "torch")


@dataclass(frozen=True, kw_only=True)
class SpectralParameters:
    """Parameters of the spectral workload.

    Raises:
        ParameterError: a value is out of range, or two do not go together.
    """

    nfft: int = parameter(4096, "samples per frame; a power of two")
    overlap: float = parameter(
        0.5, "share of a frame that the next one repeats, in [0, 1); hop = nfft - round(nfft x it)"
    )
    channels: int | None = parameter(None, "channels; null: the recording's, or 2")
    window: Literal["hann", "blackman", "rectangular"] = parameter("hann", "window")
    symmetry: Literal["periodic", "symmetric"] = parameter(
        "periodic", "periodic divides by nfft (for spectra), symmetric by nfft - 1"
    )
    norm: Literal["unity", "sqrt"] = parameter(
        "unity", "unity: coefficients sum to nfft; sqrt: square root of each (for overlap-add)"
    )
    scale: Literal["none", "1/N", "1/sqrt(N)"] = parameter("1/N", "factor on the spectrum")
    output: Literal["magnitude", "complex"] = parameter("magnitude", "what a frame becomes")
    mode: Literal["streaming", "batch", "digest"] = parameter(
        "streaming",
        "streaming: samples arrive chunk by chunk; batch: many frames in one call; digest: one "
        "pass over `frames` frames that can be interrupted, and the hash of all spectra",
    )
    arrival: Literal["closed", "open"] = parameter(
        "closed",
        "closed: the next call when the last has ended; open: samples come at fs_hz, and latency "
        "counts from their arrival",
    )
    dtype: Literal["float32", "float64"] = parameter("float32", "element type throughout")
    device: Literal["cpu", "cuda"] = parameter("cpu", "what computes")
    backend: Literal[
        "auto", "mkl", "pyfftw", "scipy", "numpy", "fused", "torch-graph", "cufft", "torch"
    ] = parameter(
        "auto",
        "engine, on the CPU the first four; auto: the first that is installed. fused is one "
        "kernel for window, FFT and magnitude, cufft three around NVIDIA's library",
    )
    wait: Literal["spin", "yield", "block"] = parameter(
        "spin", "how the engine fused waits for the device: spin is quickest, block uses no CPU"
    )
    fs_hz: float | None = parameter(None, "sampling rate, Hz; null: the recording's, or 100000")
    frames: int = parameter(2000, "frames to time, at least")
    warmup: int = parameter(200, "frames computed before, and not timed")
    batch: int | None = parameter(None, f"frames per call in batch mode; null: {_DEFAULT_BATCH}")
    chunk: int | None = parameter(
        None, "new samples per call and channel in streaming mode; null: the hop"
    )
    deadline_us: float | None = parameter(
        None, "deadline of a frame, microseconds; null: the time that its new samples take to come"
    )
    signal: Literal["mix", "tones", "chirp", "noise", "impulses"] = parameter(
        "mix", "synthetic input, where there is no recording"
    )
    recording: str | None = parameter(
        None, "file with real input: .wav and what libsndfile reads, .npy, .sigmf-meta"
    )
    seed: int = parameter(0, "of the synthetic signals")

    def __post_init__(self) -> None:
        self._check_frame()
        self._check_engine()
        for name in ("frames", "channels", "batch", "chunk"):
            _at_least(name, getattr(self, name), 1)
        for name in ("warmup", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("fs_hz", "deadline_us"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ParameterError(name, f"must be greater than 0, not {value}")
        elements = self.nfft * (self.channels or 1) * self.frames_per_call
        if elements > _ELEMENTS_MAX:
            raise ParameterError(
                "nfft",
                f"one call would take {elements} samples; at most {_ELEMENTS_MAX} are possible",
                remedy="lower nfft, channels or batch",
            )

    def _check_frame(self) -> None:
        if not _NFFT_MIN <= self.nfft <= _NFFT_MAX or self.nfft & (self.nfft - 1):
            near = min(max(1 << max(self.nfft, 1).bit_length() - 1, _NFFT_MIN), _NFFT_MAX)
            raise ParameterError(
                "nfft",
                f"{self.nfft} is no power of two between {_NFFT_MIN} and {_NFFT_MAX}",
                remedy=f"write for example {near}",
            )
        if not 0 <= self.overlap < 1:
            raise ParameterError(
                "overlap",
                f"{self.overlap} is not in [0, 1)",
                remedy="0.5 repeats half of each frame",
            )
        if self.hop < 1:
            raise ParameterError(
                "overlap",
                f"{self.overlap} leaves no new sample per frame of {self.nfft}",
                remedy=f"at most {1 - 1 / self.nfft} (hop 1)",
            )

    def _check_engine(self) -> None:
        known = CPU_ENGINES if self.device == "cpu" else CUDA_ENGINES
        if self.backend != "auto" and self.backend not in known:
            raise ParameterError(
                "backend",
                f"{self.backend} does not compute on {self.device}",
                remedy=f"write one of {', '.join(known)}, or another device",
            )
        if self.backend in ("fused", "cufft") and self.dtype != "float32":
            raise ParameterError(
                "dtype",
                f"{self.backend} computes in float32, not {self.dtype}",
                remedy="write backend=torch",
            )

    @property
    def hop(self) -> int:
        """New samples per frame, exact: nfft is a power of two, so nfft x overlap is not rounded.

        Where the product is no whole number, the repeated part is rounded half to even.
        """
        return self.nfft - round(self.nfft * self.overlap)

    @property
    def bins(self) -> int:
        """Frequencies of a real transform, 0 to the Nyquist frequency."""
        return self.nfft // 2 + 1

    @property
    def frames_per_call(self) -> int:
        """Frames that one latency sample, or one step of a digest, stands for; 1 when streaming."""
        return 1 if self.mode == "streaming" else self.batch or _DEFAULT_BATCH


def check_files(parameters: Any, locate: Locate) -> None:
    """Look at the recording where it lies here.

    Raises:
        UserError: it is missing, truncated, too short, has other channels or another rate, or is
            brought by nothing.
    """
    if parameters.recording is None:
        return
    try:
        path = locate(parameters.recording)
    except LookupError as error:
        raise UserError(
            "no input and no file of the workdir has that path",
            where=f"recording {parameters.recording}",
            remedy="list it under `inputs`, with `path` as the parameter names it",
        ) from error
    if path is not None:
        suits(inspect(path), parameters.nfft, parameters.channels, parameters.fs_hz)


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ParameterError(name, f"must be at least {least}, not {value}")


_IONOSPHERE: Mapping[str, Any] = {
    "channels": 2,
    "overlap": 0.75,
    "window": "blackman",
    "fs_hz": 100_000,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Seconds: shows that everything works. Enough samples for p99, none for p99.9.
    "smoke": {"nfft": 1024, "channels": 2, "frames": 600, "warmup": 100},
    # Up to a minute: the frame that published spectral engines are compared on, and a p99.9.
    "full": {"nfft": 4096, "channels": 2, "frames": 50_000, "warmup": 2000},
    # A published ionosphere monitor: 100 kHz, three quarters overlap, Blackman. Its latency,
    # its streams as they arrive (10 s after 3 s of warm-up), its batches, and its sweep.
    "sigtekx": {**_IONOSPHERE, "nfft": 4096, "frames": 5000, "warmup": 500},
    "sigtekx-realtime": {
        **_IONOSPHERE,
        "nfft": 4096,
        "arrival": "open",
        "frames": 977,
        "warmup": 293,
    },
    "sigtekx-throughput": {
        **_IONOSPHERE,
        "nfft": 16_384,
        "mode": "batch",
        "frames": 5008,
        "warmup": 496,
    },
    "sigtekx-sweep": {
        **_IONOSPHERE,
        "nfft": (1024, 2048, 4096, 8192, 16_384),
        "channels": (1, 2, 8),
        "overlap": (0.5, 0.75, 0.9375),
        "mode": ("streaming", "batch"),
        "frames": 500,
        "warmup": 50,
    },
}

DECLARATION = Declaration(
    name="spectral",
    version="1.0",
    summary="window, real FFT, magnitude over a multi-channel signal, in real time or in batches",
    parameters=SpectralParameters,
    presets=PRESETS,
    implementation="flyback.workloads.spectral.workload:Spectral",
    check_files=check_files,
)
