"""Synthetic signals, seeded; each channel gets its own, so that swapped channels show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SIGNALS", "synthesize"]

Array = npt.NDArray[Any]
Maker = Callable[[np.random.Generator, int, int], Array]


def synthesize(kind: str, shape: tuple[int, int], nfft: int, seed: int) -> Array:
    """A signal of shape (channels, samples), float64, of amplitude about 1.

    Args:
        kind: One of `SIGNALS`.
        shape: Channels and samples.
        nfft: Frame length; tones lie on and between its bins.
        seed: Equal seeds give equal signals.
    """
    channels, samples = shape
    position = list(SIGNALS).index(kind)
    return np.stack(
        [
            SIGNALS[kind](np.random.default_rng((seed, position, channel)), samples, nfft)
            for channel in range(channels)
        ]
    )


def _tone(bins: float, samples: int, nfft: int, phase: float) -> Array:
    """A cosine at `bins` times the bin spacing; whole turns drop out before the cosine."""
    turns = np.arange(samples) * (bins / nfft)
    return np.asarray(np.cos(2 * np.pi * ((turns % 1.0) + phase)))


def _tones(rng: np.random.Generator, samples: int, nfft: int) -> Array:
    """On a bin, between two bins, and one 60 dB below them."""
    parts = ((nfft // 8, 1.0), (nfft // 5 + 0.37, 0.5), (nfft // 3 + 0.5, 1e-3))
    signal = np.zeros(samples)
    for bins, amplitude in parts:
        signal += amplitude * _tone(bins, samples, nfft, rng.random())
    return signal


def _chirp(rng: np.random.Generator, samples: int, nfft: int) -> Array:
    """Linear, from 0 to the Nyquist frequency over the whole signal."""
    del nfft
    time = np.arange(samples)
    return np.asarray(np.cos(2 * np.pi * ((0.25 * time * time / samples) % 1.0 + rng.random())))


def _noise(rng: np.random.Generator, samples: int, nfft: int) -> Array:
    """White, Gaussian, standard deviation 0.25."""
    del nfft
    return 0.25 * rng.standard_normal(samples)


def _impulses(rng: np.random.Generator, samples: int, nfft: int) -> Array:
    """One in every third of a frame, at random heights: all bins at once."""
    signal = np.zeros(samples)
    places = np.arange(0, samples, max(nfft // 3, 1))
    signal[places] = rng.uniform(0.5, 1.0, places.size)
    return signal


def _mix(rng: np.random.Generator, samples: int, nfft: int) -> Array:
    """Tones and a chirp in noise."""
    return 0.5 * (
        _tones(rng, samples, nfft) + _chirp(rng, samples, nfft) + _noise(rng, samples, nfft)
    )


SIGNALS: Mapping[str, Maker] = MappingProxyType(
    {"tones": _tones, "chirp": _chirp, "noise": _noise, "impulses": _impulses, "mix": _mix}
)
