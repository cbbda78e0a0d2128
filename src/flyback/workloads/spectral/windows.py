"""Windows, in float64.

Formulas: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier
transform", Proc. IEEE 66 (1978), 51-83: Hann (eq. 27), Blackman (eq. 31, rounded coefficients).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.workloads.spectral.declaration import SpectralParameters

__all__ = ["coefficients"]

_COSINES = {"hann": (0.5, -0.5), "blackman": (0.42, -0.5, 0.08), "rectangular": (1.0,)}


def coefficients(parameters: SpectralParameters) -> npt.NDArray[Any]:
    """Window with its normalisation and the spectrum's scale folded in: shape (nfft,), float64.

    The transform is linear, so scaling the window scales the spectrum.
    """
    n = parameters.nfft
    period = n if parameters.symmetry == "periodic" else n - 1
    phase = 2 * np.pi * np.arange(n) / period
    window = np.zeros(n)
    for k, a in enumerate(_COSINES[parameters.window]):
        window += a * np.cos(k * phase)
    if parameters.norm == "unity":
        window *= n / window.sum()
    else:
        window = np.sqrt(np.maximum(window, 0))  # rounding leaves Blackman's zeros at -1e-17
    scale = {"none": 1.0, "1/N": 1 / n, "1/sqrt(N)": n**-0.5}[parameters.scale]
    return np.asarray(window * scale)
