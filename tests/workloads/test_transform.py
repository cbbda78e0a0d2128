"""The transform itself, against its definition, SciPy's windows and Parseval's theorem."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal

from flyback.errors import MissingExtraError
from flyback.workloads.accuracy import snr_db
from flyback.workloads.spectral import engines
from flyback.workloads.spectral.declaration import SpectralParameters
from flyback.workloads.spectral.engines import ENGINES, choose
from flyback.workloads.spectral.signals import SIGNALS, synthesize
from flyback.workloads.spectral.windows import coefficients
from flyback.workloads.spectral.workload import reference_spectra
from flyback.workloads.workload import Comparison

WINDOWS = list(
    itertools.product(
        ("hann", "blackman", "rectangular"),
        ("periodic", "symmetric"),
        ("unity", "sqrt"),
        ("none", "1/N", "1/sqrt(N)"),
    )
)
NAMES = {"hann": "hann", "blackman": "blackman", "rectangular": "boxcar"}


def parameters(window: str, symmetry: str, norm: str, scale: str, **more: Any) -> Any:
    """Spectral parameters with that window."""
    return SpectralParameters(
        window=window,  # type: ignore[arg-type]
        symmetry=symmetry,  # type: ignore[arg-type]
        norm=norm,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        **{"nfft": 256, **more},
    )


def snr(actual: Any, expected: Any) -> float:
    """Least SNR of any spectrum, dB."""
    return snr_db(Comparison(label="", kind="", actual=actual, expected=expected))


@pytest.mark.parametrize(("window", "symmetry", "norm", "scale"), WINDOWS)
def test_windows_are_scipys(window: str, symmetry: str, norm: str, scale: str) -> None:
    """Shape, normalisation and scale, computed here from SciPy's windows."""
    n = 256
    theirs = scipy.signal.get_window(NAMES[window], n, fftbins=symmetry == "periodic")
    theirs = theirs * n / theirs.sum() if norm == "unity" else np.sqrt(np.maximum(theirs, 0))
    theirs = theirs * {"none": 1, "1/N": 1 / n, "1/sqrt(N)": n**-0.5}[scale]
    ours = coefficients(parameters(window, symmetry, norm, scale))
    # the square root of Blackman's zero magnifies rounding: 1e-17 becomes 3e-9
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-8 if norm == "sqrt" else 1e-15)


def test_a_unity_window_gives_a_tone_its_amplitude() -> None:
    """With scale 1/N, a cosine of amplitude A on a bin shows as A/2, whatever the window."""
    tone = 3 * np.cos(2 * np.pi * 10 * np.arange(256) / 256)
    for window in NAMES:
        spectrum = reference_spectra(
            parameters(window, "periodic", "unity", "1/N"), tone, "magnitude"
        )
        assert spectrum[10] == pytest.approx(1.5, rel=1e-12)


def test_square_root_windows_overlap_add_to_a_constant() -> None:
    """Applied twice with half overlap, periodic Hann windows sum to 1 everywhere."""
    window = coefficients(parameters("hann", "periodic", "sqrt", "none"))
    np.testing.assert_allclose(window[:128] ** 2 + window[128:] ** 2, 1, rtol=1e-12)


@pytest.mark.parametrize("output", ["magnitude", "complex"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nfft", [16, 64, 256])
def test_the_reference_is_the_definition(nfft: int, dtype: str, output: str) -> None:
    """It is the sum of x[n] w[n] exp(-2 pi i k n / N) written out as a matrix, no FFT involved."""
    p = parameters("blackman", "periodic", "unity", "1/N", nfft=nfft, dtype=dtype)
    frames = synthesize("mix", (5, nfft), nfft, 1)
    n, k = np.arange(nfft), np.arange(nfft // 2 + 1)
    turns = np.outer(n, k) % nfft / nfft
    expected = (frames * coefficients(p)) @ np.exp(-2j * np.pi * turns)
    expected = np.abs(expected) if output == "magnitude" else expected
    assert snr(reference_spectra(p, frames, output), expected) > 280


@pytest.mark.parametrize("name", engines.installed())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_engines_agree_with_the_reference(name: str, dtype: str, output: str) -> None:
    """Every window, normalisation and scale: at least 120 dB in float32, 250 dB in float64."""
    floor = {"float32": 120, "float64": 250}[dtype]
    for window, symmetry, norm, scale in WINDOWS:
        p = parameters(window, symmetry, norm, scale, dtype=dtype)
        transform = ENGINES[name].plan(coefficients(p).astype(dtype), output)
        for kind in SIGNALS:
            frames = synthesize(kind, (3, p.nfft), p.nfft, 2).astype(dtype)
            assert snr(transform(frames), reference_spectra(p, frames, output)) >= floor


@pytest.mark.parametrize("name", engines.installed())
@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_float32_stays_float32(name: str, output: str) -> None:
    """What is called float32 is computed in float32: type and accuracy say so."""
    p = parameters("hann", "periodic", "unity", "1/N", nfft=4096)
    frames = synthesize("noise", (2, 4096), 4096, 3).astype("float32")
    spectra = ENGINES[name].plan(coefficients(p).astype("float32"), output)(frames)
    assert spectra.dtype == ("float32" if output == "magnitude" else "complex64")
    assert snr(spectra, reference_spectra(p, frames, output)) < 170


@pytest.mark.parametrize("name", engines.installed())
@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_a_result_is_the_callers(name: str, output: str) -> None:
    """Later calls, of the same shape or another, leave it and the input alone."""
    p = parameters("hann", "periodic", "unity", "1/N")
    transform = ENGINES[name].plan(coefficients(p).astype("float32"), output)
    frames = synthesize("noise", (4, 256), 256, 3).astype("float32")
    given = frames.copy()
    first = transform(frames[:2])
    kept = first.copy()
    for part in (frames[2:], frames, frames[:1]):
        transform(part)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(frames, given)


@pytest.mark.parametrize("name", engines.installed())
def test_parsevals_theorem_holds(name: str) -> None:
    """Energy of a windowed frame equals that of its spectrum, each mirrored bin counted twice."""
    p = parameters("hann", "periodic", "unity", "1/sqrt(N)", dtype="float64")
    frame = synthesize("mix", (1, 256), 256, 5)
    spectrum = ENGINES[name].plan(coefficients(p), "complex")(frame)
    energy = np.abs(spectrum) ** 2
    twice = 2 * energy.sum() - energy[0, 0] - energy[0, -1]
    windowed = frame * coefficients(p) * 256**0.5
    assert twice == pytest.approx((windowed**2).sum(), rel=1e-12)


def test_auto_takes_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fastest that is there, at last NumPy; the record names which."""
    assert choose("auto")[0] == engines.installed()[0]
    assert {"scipy", "numpy"} <= set(engines.installed())
    monkeypatch.setattr(engines, "_installed", lambda engine: engine.package == "numpy")
    assert choose("auto")[0] == "numpy"
    with pytest.raises(MissingExtraError, match="scipy is not installed"):
        choose("scipy")


def test_signals_are_seeded_and_differ_by_channel() -> None:
    """Equal seeds give equal signals; another seed or channel another signal."""
    for kind in SIGNALS:
        one = synthesize(kind, (2, 512), 64, 1)
        np.testing.assert_array_equal(one, synthesize(kind, (2, 512), 64, 1))
        assert not np.array_equal(one[0], one[1])
        assert not np.array_equal(one, synthesize(kind, (2, 512), 64, 2))
        assert np.isfinite(one).all()
        assert 0.1 < np.abs(one).max() < 4
