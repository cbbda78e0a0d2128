"""Proof: the kernel's own text computes every frame right, as C++ where there is no GPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest

from flyback.workloads.accuracy import snr_db
from flyback.workloads.spectral.cuda.transform import DeviceTransform
from flyback.workloads.spectral.framing import frames_of
from flyback.workloads.spectral.signals import SIGNALS, synthesize
from flyback.workloads.workload import Comparison

T = TypeVar("T")

SIZES = (64, 128, 512, 1024, 2048, 4096, 8192)
HOPS = (1 / 16, 0.25, 0.37, 0.5, 1.0)  # of a frame
FLOOR_DB = 135.0
FRAMES = 9
CHANNELS = 2


@pytest.mark.proof
def test_proof_kernel_emulation(
    gpu: Callable[..., Any], sweep: Callable[[Sequence[T]], list[T]]
) -> None:
    """Every frame of every overlap and signal is over 135 dB, whatever the order of threads.

    Window, transform, magnitude and the unpacked complex bins, one row at a time: the least SNR of
    any single spectrum counts. Threads run forwards and backwards; equal bits, or a step leans on
    their order, which no device keeps.
    """
    worst, sizes = float("inf"), set()
    forwards, backwards = (gpu(backwards=order) for order in (False, True))
    cases = list(itertools.product(SIZES, HOPS, ("magnitude", "complex"), sorted(SIGNALS)))
    for nfft, share, output, kind in [
        *sweep(cases),
        *((n, 0.5, "magnitude", "mix") for n in SIZES),
    ]:
        hop = max(1, round(nfft * share))
        stream = synthesize(kind, (CHANNELS, nfft + (FRAMES - 1) * hop), nfft, 3).astype(np.float32)
        frames = frames_of(stream, nfft, hop)
        window = np.hanning(nfft).astype(np.float32)
        one, other = (
            DeviceTransform(driver, "fused", window, output, "spin")(frames)
            for driver in (forwards, backwards)
        )
        np.testing.assert_array_equal(one, other)
        value = least_snr(one, frames, window, output)
        assert value >= FLOOR_DB, (nfft, hop, output, kind)
        worst = min(worst, value)
        sizes.add(nfft)
    print(f"PROOF kernel-emulation snr_db={worst:.1f} nfft={min(sizes)}-{max(sizes)}")


def least_snr(actual: Any, frames: Any, window: Any, output: str) -> float:
    """Of any single spectrum, in dB, against float64."""
    spectra = np.fft.rfft(frames.astype(np.float64) * window.astype(np.float64))
    truth = np.abs(spectra) if output == "magnitude" else spectra
    return snr_db(Comparison(label="", kind=output, actual=actual, expected=truth))
