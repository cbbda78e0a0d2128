"""Cutting a signal into overlapping frames, at once or as it arrives.

Frame k holds the samples [k x hop, k x hop + nfft). A last part that does not fill a frame belongs
to none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Framer", "Loop", "frames_of"]

Array = npt.NDArray[Any]


def frames_of(signal: Array, nfft: int, hop: int) -> Array:
    """All frames of a signal.

    Args:
        signal: Shape (channels, samples), at least nfft samples.
        nfft: Samples per frame.
        hop: New samples per frame.

    Returns:
        A read-only view of shape (frames, channels, nfft).
    """
    windows = np.lib.stride_tricks.sliding_window_view(signal, nfft, axis=1)
    return windows[:, ::hop].transpose(1, 0, 2)


class Framer:
    """Frames of a signal that arrives in chunks of any size: each once, in order.

    Samples are copied once into a buffer that holds several frames, and once more when the kept
    part moves to its front.

    Args:
        channels: Channels.
        nfft: Samples per frame.
        hop: New samples per frame, 1 to nfft.
        dtype: Element type.
    """

    def __init__(self, channels: int, nfft: int, hop: int, dtype: str) -> None:
        self._nfft = nfft
        self._hop = hop
        self._buffer = np.empty((channels, 4 * nfft), dtype)
        self._start = 0  # of the next frame
        self._end = 0  # of the samples received
        self.frames = 0
        """Frames given out so far."""

    def push(self, chunk: Array) -> Iterator[Array]:
        """Take in samples and give out each frame that they complete.

        Exhaust the iterator before the next push: samples are taken in as it advances.

        Args:
            chunk: Shape (channels, any number).

        Yields:
            Views of shape (channels, nfft), valid until the iterator advances.
        """
        taken = 0
        while taken < chunk.shape[1]:
            count = min(chunk.shape[1] - taken, self._start + self._nfft - self._end)
            self._append(chunk[:, taken : taken + count])
            taken += count
            if self._end - self._start == self._nfft:
                frame = self._buffer[:, self._start : self._end]
                self._start += self._hop
                self.frames += 1
                yield frame

    def _append(self, part: Array) -> None:
        count = part.shape[1]
        if self._end + count > self._buffer.shape[1]:
            kept = self._end - self._start
            self._buffer[:, :kept] = self._buffer[:, self._start : self._end]
            self._start, self._end = 0, kept
        self._buffer[:, self._end : self._end + count] = part
        self._end += count


class Loop:
    """A signal without end, made of one that repeats.

    Args:
        signal: Shape (channels, samples).
        reach: Longest stretch that `take` is asked for.
    """

    def __init__(self, signal: Array, reach: int) -> None:
        self.length = signal.shape[1]
        self._signal = np.concatenate([signal, signal[:, np.arange(reach) % self.length]], axis=1)

    def take(self, start: int, count: int) -> Array:
        """Samples [start, start + count) as a view of shape (channels, count)."""
        begin = start % self.length
        return self._signal[:, begin : begin + count]
