"""Ours beside what a user would pick, in turns in one process; figures of speed, as ratios.

One thread each. Times are medians; ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import pytest

from flyback.workloads.spectral.engines import ENGINES
from flyback.workloads.spectral.framing import frames_of

Call = Callable[[], Any]
ROUNDS = 40


def in_turns(
    calls: Mapping[str, Call],
    rounds: int = ROUNDS,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, list[int]]:
    """Nanoseconds of each call in each round, the order drawn anew.

    Calls that are longer than a turn of the scheduler are timed by the processor's clock: on a busy
    machine the wall's would count the neighbours.
    """
    for call in calls.values():
        call()
        call()
    rng = random.Random(0)
    found: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
        order = rng.sample(list(calls), len(calls))
        spent = dict.fromkeys(calls, 0)
        for name in [*order, *reversed(order)]:
            start = clock()
            calls[name]()
            spent[name] += clock() - start
        for name, value in spent.items():
            found[name].append(value // 2)
    return found


def ratio(times: Mapping[str, list[int]], slower: str, faster: str) -> float:
    """How many times as long."""
    return median(a / b for a, b in zip(times[slower], times[faster], strict=True))


def repeated(call: Call, count: int) -> Call:
    """So many calls in a row."""

    def run() -> None:
        for _ in range(count):
            call()

    return run


def snr_db(actual: Any, expected: Any) -> float:
    """Of the whole."""
    return float(10 * np.log10((expected**2).sum() / ((actual - expected) ** 2).sum()))


@pytest.mark.bench
def test_bench_spectral_peers() -> None:
    """1024 frames of 4096, and the latency of one frame of 2 x 4096."""
    pyfftw, mkl = pytest.importorskip("pyfftw"), pytest.importorskip("mkl_fft")
    pytest.importorskip("numba")
    os.environ["MKL_NUM_THREADS"] = "1"
    from scipy import fft

    nfft = 4096
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((1, 1024 * nfft), dtype=np.float32)
    window = np.hanning(nfft).astype(np.float32)
    frames = frames_of(signal, nfft, nfft)
    ours = ENGINES["mkl"].plan(window, "magnitude")
    builder = pyfftw.builders.rfft(frames * window, axis=-1, threads=1)
    batch = in_turns(
        {
            "ours": lambda: ours(frames),
            "numpy": lambda: np.abs(np.fft.rfft(frames * window)),
            "scipy": lambda: np.abs(fft.rfft(frames * window)),
            "pyfftw": lambda: np.abs(builder(frames * window)),
            "mkl_fft": lambda: np.abs(mkl.rfft(frames * window)),
        },
        rounds=8,
    )
    pair = signal[0, : 2 * nfft].reshape(2, nfft)
    small = ENGINES["mkl"].plan(window, "magnitude")
    single = pyfftw.builders.rfft(pair * window, axis=-1, threads=1)
    latency = in_turns(
        {
            "ours": repeated(lambda: small(pair), 20),
            "numpy": repeated(lambda: np.abs(np.fft.rfft(pair * window)), 20),
            "scipy": repeated(lambda: np.abs(fft.rfft(pair * window)), 20),
            "pyfftw": repeated(lambda: np.abs(single(pair * window)), 20),
            "mkl_fft": repeated(lambda: np.abs(mkl.rfft(pair * window)), 20),
        }
    )
    expected = np.abs(np.fft.rfft(frames.astype(float) * window.astype(float)))
    snr = snr_db(ours(frames), expected)
    figures = {name: ratio(batch, name, "ours") for name in batch if name != "ours"}
    quick = {name: ratio(latency, name, "ours") for name in latency if name != "ours"}
    print(
        f"BENCH spectral-peers ratio_numpy={figures['numpy']:.2f} "
        f"ratio_scipy={figures['scipy']:.2f} ratio_pyfftw={figures['pyfftw']:.2f} "
        f"ratio_mkl_fft={figures['mkl_fft']:.2f} "
        f"latency_us={median(latency['ours']) / 20e3:.1f} "
        f"latency_ratio_least={min(quick.values()):.2f} snr_db={snr:.1f}"
    )
    assert figures["numpy"] >= 5
    assert figures["scipy"] >= 1.5
    assert min(quick.values()) > 1
    assert snr >= 135


@pytest.mark.bench
def test_bench_blur_peers() -> None:
    """2048 x 2048 x 3, k = 15, float32, against Pillow, SciPy and scikit-image; torch if there."""
    cv2, filters = pytest.importorskip("cv2"), pytest.importorskip("skimage.filters")
    from flyback.workloads.device import Device
    from flyback.workloads.image import Image

    cv2.setNumThreads(1)
    parameters = Image.Params(size=2048, backend="cv2")
    plugin = Image()
    plugin.setup(parameters, Device(0))
    image = plugin.images[0]
    settings: dict[str, Any] = {"sigma": 2.6, "truncate": 7 / 2.6, "channel_axis": -1}
    calls: dict[str, Call] = {
        "ours": plugin.run,
        "opencv": lambda: cv2.GaussianBlur(image, (15, 15), 2.6, borderType=cv2.BORDER_REFLECT_101),
        "skimage": lambda: filters.gaussian(image, mode="mirror", **settings),
    }
    dense = "ratio_dense=n/a"
    try:
        import torch
    except ModuleNotFoundError:
        torch = None
    if torch is not None:
        torch.set_num_threads(1)
        seed = Image()
        seed.setup(Image.Params(size=2048, backend="dense"), Device(0))
        calls["dense"] = seed.run
    times = in_turns(calls, rounds=3, clock=time.process_time_ns)
    if torch is not None:
        dense = f"ratio_dense={ratio(times, 'dense', 'ours'):.1f}"
        assert ratio(times, "dense", "ours") >= 20
    error = float(np.abs(plugin.run() - plugin.reference()).max())
    print(
        f"BENCH blur-peers {dense} ratio_opencv={ratio(times, 'opencv', 'ours'):.2f} "
        f"ratio_skimage={ratio(times, 'skimage', 'ours'):.1f} max_error={error:.1e}"
    )
    assert error < 1e-6
    assert ratio(times, "skimage", "ours") > 1


@pytest.mark.bench
def test_bench_matmul_peers() -> None:
    """1000 x 1000 in float32: NumPy's BLAS against SciPy's; nobody should win by much."""
    from scipy.linalg.blas import sgemm

    from flyback.workloads.device import Device
    from flyback.workloads.matmul import Matmul

    plugin = Matmul()
    plugin.setup(Matmul.Params(n=1000), Device(0))
    a, b = (np.asfortranarray(x) for x in (plugin.a, plugin.b))
    times = in_turns(
        {"ours": plugin.run, "scipy": lambda: sgemm(1.0, a, b)},
        rounds=20,
        clock=time.process_time_ns,
    )
    rate = plugin.work().flops / median(times["ours"])
    print(
        f"BENCH matmul-peers ratio_scipy={ratio(times, 'scipy', 'ours'):.2f} gflop_s={rate:.0f} "
        f"n=1000"
    )
    assert ratio(times, "scipy", "ours") > 0.7
