"""Proof: streaming is the offline transform, and the transform is right."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from flyback.workloads.accuracy import LIMIT_DB, snr_db
from flyback.workloads.spectral.declaration import SpectralParameters
from flyback.workloads.spectral.engines import ENGINES, installed
from flyback.workloads.spectral.framing import Framer, frames_of
from flyback.workloads.spectral.signals import SIGNALS, synthesize
from flyback.workloads.spectral.windows import coefficients
from flyback.workloads.spectral.workload import SNR_FLOOR_DB, reference_spectra, stream_spectra
from flyback.workloads.workload import Comparison

WINDOWS = ("hann", "blackman", "rectangular")
OVERLAPS = (0.0, 0.25, 0.3, 0.5, 0.75, 0.9375)
SIZES = (64, 256, 1024, 4096)
CHANNELS = (1, 2, 5)
CHUNKINGS = 3
FRAMES = 12


@dataclass(frozen=True)
class Case:
    """One point of the grid."""

    window: str
    overlap: float
    nfft: int
    channels: int
    chunking: int
    engine: str


CASES = [
    Case(*point)
    for point in itertools.product(
        WINDOWS, OVERLAPS, SIZES, CHANNELS, range(CHUNKINGS), sorted(installed())
    )
]


def chunks(signal: Any, rng: random.Random) -> list[Any]:
    """The signal in pieces of random sizes, from nothing to more than everything kept."""
    pieces, start = [], 0
    while start < signal.shape[1]:
        size = rng.choice((0, 1, 7, rng.randrange(64), rng.randrange(signal.shape[1])))
        pieces.append(signal[:, start : start + size])
        start += size
    return pieces


def check(case: Case) -> tuple[float, int]:
    """Least SNR in dB of the case, and the frames that were compared.

    Every frame exactly once, in order, bit for bit what the offline transform gives, as magnitude
    and as complex spectrum; and both, frame by frame and in one batch, against float64.
    """
    rng = random.Random(repr(case))  # repeatable, and different in every case
    parameters = SpectralParameters(
        nfft=case.nfft,
        overlap=case.overlap,
        window=case.window,  # type: ignore[arg-type]
        symmetry=rng.choice(("periodic", "symmetric")),  # type: ignore[arg-type]
        norm=rng.choice(("unity", "sqrt")),  # type: ignore[arg-type]
        scale=rng.choice(("none", "1/N", "1/sqrt(N)")),  # type: ignore[arg-type]
    )
    length = case.nfft + (FRAMES - 1) * parameters.hop + rng.randrange(parameters.hop)
    signal = synthesize(
        rng.choice(list(SIGNALS)), (case.channels, length), case.nfft, rng.randrange(10**6)
    ).astype("float32")
    frames = frames_of(signal, case.nfft, parameters.hop)
    assert len(frames) == FRAMES
    worst, compared = LIMIT_DB, 0
    for output in ("magnitude", "complex"):
        plan = ENGINES[case.engine].plan
        transform = plan(coefficients(parameters).astype("float32"), output)
        offline = np.stack([transform(frame) for frame in frames])
        framer = Framer(case.channels, case.nfft, parameters.hop, "float32")
        streamed = [
            spectrum
            for chunk in chunks(signal, rng)
            for spectrum in stream_spectra(framer, transform, chunk)
        ]
        assert len(streamed) == framer.frames == FRAMES, case
        np.testing.assert_array_equal(np.stack(streamed), offline, err_msg=str(case))
        expected = reference_spectra(parameters, frames, output)
        for actual in (offline, transform(frames)):
            comparison = Comparison(label="", kind="", actual=actual, expected=expected)
            worst = min(worst, snr_db(comparison))
        compared += len(streamed)
    return worst, compared


@pytest.mark.proof
def test_proof_stft_identity(sweep: Callable[[Sequence[Case]], list[Case]]) -> None:
    """Windows x overlaps x nfft x channels x random chunks x engines, float32, at least 120 dB."""
    results = [check(case) for case in sweep(CASES)]
    snr = min(value for value, _ in results)
    frames = sum(count for _, count in results)
    print(f"PROOF stft-identity snr_db={snr:.1f} frames={frames} cases={len(results)}")
    assert snr >= SNR_FLOOR_DB["float32"] == 120
