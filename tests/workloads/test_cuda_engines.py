"""Engines for a CUDA device, on an emulated one: what they compute, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flyback.errors import UserError
from flyback.workloads.runner import Setting, measure
from flyback.workloads.spectral import engines
from flyback.workloads.spectral.cuda import transform as device_transform
from flyback.workloads.spectral.cuda.recipes import RECIPES
from flyback.workloads.spectral.cuda.torch_engines import eager
from flyback.workloads.spectral.cuda.transform import DeviceTransform
from flyback.workloads.spectral.declaration import DECLARATION, SpectralParameters
from flyback.workloads.spectral.framing import frames_of
from flyback.workloads.spectral.workload import Spectral

pytestmark = pytest.mark.extended  # a C++ compiler stands in for the GPU

Open = Callable[..., Any]


def signal(channels: int, samples: int) -> Any:
    """Noise."""
    return np.random.default_rng(5).standard_normal((channels, samples), dtype=np.float32)


def expected(frames: Any, window: Any, output: str = "magnitude") -> Any:
    """By NumPy, in float64."""
    spectra = np.fft.rfft(frames.astype(np.float64) * window.astype(np.float64))
    return np.abs(spectra) if output == "magnitude" else spectra


@pytest.mark.parametrize("wait", ["spin", "yield", "block"])
@pytest.mark.parametrize("output", ["magnitude", "complex"])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_engine_computes_frames_and_batches(
    gpu: Open, name: str, output: str, wait: str
) -> None:
    """One frame, a batch that overlaps in memory, and one that does not: equal to NumPy's.

    More pieces than fit in flight, with a rest; odd hops; results are the caller's own.
    """
    window = np.hanning(256).astype(np.float32)
    transform = DeviceTransform(gpu(), name, window, output, wait)
    stream = signal(3, 10_000)
    first = transform(stream[:, 17 : 17 + 256])
    kept = first.copy()
    for frames in (frames_of(stream, 256, 97), frames_of(stream, 256, 256), signal(8, 256)[None]):
        np.testing.assert_allclose(
            transform(frames), expected(frames, window, output), rtol=0, atol=2e-4
        )
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(
        first, expected(stream[:, 17 : 17 + 256], window, output), rtol=0, atol=2e-4
    )


def test_a_frame_is_one_launch(gpu: Open) -> None:
    """The fused engine plays a graph of one kernel for a frame; a large piece goes by copies."""
    small, large = gpu(), gpu()
    DeviceTransform(small, "fused", np.ones(4096, np.float32), "magnitude", "spin")(signal(2, 4096))
    assert small.played == [("graph", "Launch")]
    frames = frames_of(signal(4, 1 << 17), 4096, 4096)
    DeviceTransform(large, "fused", np.ones(4096, np.float32), "magnitude", "spin")(frames)
    assert set(large.played) == {("graph", "Copy", "Launch", "Copy")}
    assert len(large.played) == 4  # two in flight, twice


def test_the_usual_pipeline_is_five_calls(gpu: Open) -> None:
    """What ours is compared with: copy, window, library, magnitude, copy, none of it recorded."""
    device = gpu()
    DeviceTransform(device, "cufft", np.ones(64, np.float32), "magnitude", "spin")(signal(1, 64))
    assert device.played == [("Copy", "Launch", "Fft", "Launch", "Copy")]


def test_samples_that_frames_share_go_over_once(gpu: Open) -> None:
    """With three quarters of overlap, a batch's input is a quarter of its frames' bytes."""
    sizes = []
    device = gpu()
    pinned = device.pinned
    device.pinned = lambda size: (sizes.append(size), pinned(size))[1]  # type: ignore[method-assign]
    frames = frames_of(signal(1, 64 * 16 + 192), 256, 64)
    DeviceTransform(device, "fused", np.ones(256, np.float32), "magnitude", "spin")(frames[:8])
    assert sizes[0] > 8 * 256  # the window, copied to the device
    assert (7 * 64 + 256) * 4 in sizes


def test_a_device_that_never_answers_is_given_up(
    gpu: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host does not spin for ever: it ends with a sentence."""
    monkeypatch.setattr(device_transform, "_PATIENCE_S", 0.0)
    transform = DeviceTransform(gpu(dead=True), "fused", np.ones(64, np.float32), "complex", "spin")
    with pytest.raises(UserError, match="gave no result"):
        transform(signal(1, 64))


def test_a_batch_that_does_not_fit_says_what_would(gpu: Open) -> None:
    """Half of the memory, half of the batch; and that much does fit."""
    frames = frames_of(signal(2, 4096 * 256), 4096, 4096)
    full, half = 2 * 256 // 4 * 2 * (4096 + 2049) * 4, 128
    transform = DeviceTransform(
        gpu(free_bytes=full // 2), "fused", np.ones(4096, np.float32), "magnitude", "spin"
    )
    with pytest.raises(
        UserError, match=r"batch takes 6\.0 MiB of the device, which has 3\.0"
    ) as caught:
        transform(frames)
    assert f"batch={half} fits" in str(caught.value)
    assert transform(frames[:half]).shape == (half, 2, 2049)


def test_frames_that_fit_no_block_are_refused(gpu: Open) -> None:
    """64 KiB of shared memory hold 8192 samples, and the sentence says what takes more."""
    DeviceTransform(gpu(), "fused", np.ones(8192, np.float32), "magnitude", "spin")
    for nfft in (32, 16_384):
        with pytest.raises(UserError, match=f"64 to 8192 samples here, not {nfft}") as caught:
            DeviceTransform(gpu(), "fused", np.ones(nfft, np.float32), "magnitude", "spin")
        assert "cufft" in str(caught.value)


@pytest.mark.parametrize("mode", ["streaming", "batch"])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_cell_on_a_device_passes_its_gates(
    gpu: Open, monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    """From parameters to record: every signal over 120 dB, streamed and in batches."""
    device = gpu()
    monkeypatch.setattr(engines, "_driver", lambda: device)
    monkeypatch.setattr(engines, "_installed", lambda _: True)
    monkeypatch.setattr(engines.Engine, "version", "emulated")
    parameters = SpectralParameters(
        nfft=256, device="cuda", backend=name, mode=mode, frames=40, warmup=4, overlap=0.75
    )
    result = measure(DECLARATION, Spectral(), parameters, Setting())
    assert (result.status, result.reason) == ("ok", "")
    assert result.device == {"kind": "cuda", "name": "emulated"}
    assert result.backend == {"name": name, "version": "emulated"}
    assert result.work["bytes_h2d"] > 0


@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_torchs_engine_computes_the_same(output: str) -> None:
    """Call by call, here on the processor: frames, batches that overlap, and both outputs."""
    window = np.hanning(256).astype(np.float32)
    transform = eager(window, output, device="cpu")
    stream = signal(2, 4000)
    for frames in (stream[:, :256], frames_of(stream, 256, 97)):
        found = transform(frames)
        np.testing.assert_allclose(found, expected(frames, window, output), rtol=0, atol=2e-4)
