"""Streaming equals the offline transform: every frame once, in order, over any chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flyback.workloads.spectral.framing import Framer, Loop, frames_of

NFFT = st.sampled_from([16, 32, 64])


def numbered(channels: int, samples: int) -> Any:
    """A signal whose every sample says which channel and position it is."""
    return np.arange(channels)[:, None] * 1e6 + np.arange(samples)


@given(st.data())
def test_streaming_over_any_chunks_gives_every_frame_once_and_in_order(data: st.DataObject) -> None:
    """Frame k is the samples from k x hop on, however they were cut up on the way in."""
    nfft = data.draw(NFFT, "nfft")
    hop = data.draw(st.integers(1, nfft), "hop")
    channels = data.draw(st.integers(1, 3), "channels")
    sizes = data.draw(st.lists(st.integers(0, 5 * nfft), max_size=30), "sizes")
    signal = numbered(channels, sum(sizes))
    framer = Framer(channels, nfft, hop, "float64")
    frames = [
        frame.copy()
        for chunk in np.split(signal, np.cumsum(sizes)[:-1] if sizes else [], axis=1)
        for frame in framer.push(chunk)
    ]
    count = max(0, (signal.shape[1] - nfft) // hop + 1)
    assert len(frames) == framer.frames == count
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, signal[:, k * hop : k * hop + nfft])


@given(NFFT, st.integers(1, 64), st.integers(0, 300))
def test_offline_frames_are_the_same_definition(nfft: int, hop: int, extra: int) -> None:
    """The view holds each frame at its place, and no frame that the signal does not fill."""
    hop = min(hop, nfft)
    signal = numbered(2, nfft + extra)
    frames = frames_of(signal, nfft, hop)
    assert frames.shape == (extra // hop + 1, 2, nfft)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, signal[:, k * hop : k * hop + nfft])


@given(st.integers(1, 50), st.integers(1, 120), st.lists(st.integers(0, 10**9), max_size=20))
def test_a_loop_repeats_its_signal(length: int, reach: int, starts: list[int]) -> None:
    """Sample p of the endless signal is sample p modulo its length, across the seam too."""
    signal = numbered(2, length)
    loop = Loop(signal, reach)
    for start in starts:
        expected = signal[:, (start + np.arange(reach)) % length]
        np.testing.assert_array_equal(loop.take(start, reach), expected)
