"""A separable filter compiled by numba, tile by tile: each tile stays in a core's own caches.

Row after row, the vertical pass over a wide image reads as many lines as the kernel is long, all at
one distance; where that is a multiple of 4 KiB they fall into one set of the first cache and push
each other out. A tile is filtered across into a buffer with another line length, and down from
there, so that the image itself is read and written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["tiled_blur"]

_WIDTH, _ROWS = 768, 128  # numbers across and lines down: with its halo under half a MiB
_PAD = 16  # numbers, so that neighbouring lines of the buffer lie in different sets


def tiled_blur(kernel: Any, channels: int) -> Callable[[Any, Any], None]:
    """A function that blurs `source` into `result`, both (height, width, channels), float32.

    The kernel is applied along both sides, on one thread. Edges reflect without repeating the
    outermost pixel, so either side must be longer than half the kernel.

    Args:
        kernel: Symmetric coefficients of odd length.
        channels: Numbers per pixel.
    """
    import numpy as np

    half = len(kernel) // 2
    width = max(_WIDTH // channels, 1) * channels
    filtered = _compiled(tuple(float(weight) for weight in kernel), channels, width)
    buffer = np.empty((_ROWS + 2 * half, width + _PAD), np.float32)
    line = np.empty(width + 2 * half * channels, np.float32)

    def call(source: Any, result: Any) -> None:
        lines = (source.shape[0], -1)
        filtered(source.reshape(lines), result.reshape(lines), buffer, line)

    return call


@functools.cache
def _compiled(kernel: tuple[float, ...], channels: int, width: int) -> Callable[..., None]:
    import numba
    import numpy as np

    # What a closure holds is constant to the compiler: it unrolls over the coefficients.
    weights = tuple(np.float32(weight) for weight in kernel)
    compiled = numba.njit(fastmath={"contract"}, error_model="numpy")
    across = compiled(_across(weights, channels, compiled(_mirrored)))
    down = compiled(_down(weights))

    def filtered(source: Any, result: Any, buffer: Any, line: Any) -> None:
        height, numbers = source.shape
        for top in range(0, height, _ROWS):
            for left in range(0, numbers, width):
                place = (top, left, min(_ROWS, height - top), min(width, numbers - left))
                across(source, place, buffer, line)
                down(buffer, place, result)

    function: Callable[..., None] = compiled(filtered)
    return function


def _mirrored(i: int, n: int) -> int:
    return -i if i < 0 else 2 * n - 2 - i if i >= n else i


def _across(weights: tuple[Any, ...], channels: int, mirrored: Any) -> Callable[..., None]:
    """A tile's rows, and half a kernel above and below, filtered along the row into the buffer."""
    length, half = len(weights), len(weights) // 2
    halo = half * channels

    def across(source: Any, place: tuple[int, int, int, int], buffer: Any, line: Any) -> None:
        top, left, rows, columns = place
        height, numbers = source.shape
        for i in range(rows + 2 * half):
            row = source[mirrored(top - half + i, height)]
            if left >= halo and left + columns + halo <= numbers:
                part = row[left - halo : left + columns + halo]
            else:
                for pixel in range(columns // channels + 2 * half):
                    other = mirrored(left // channels - half + pixel, numbers // channels)
                    for c in range(channels):
                        line[pixel * channels + c] = row[other * channels + c]
                part = line
            out = buffer[i]
            for x in range(columns):
                total = weights[half] * part[x + halo]
                for j in range(half):
                    mirror = part[x + (length - 1 - j) * channels]
                    total += weights[j] * (part[x + j * channels] + mirror)
                out[x] = total

    return across


def _down(weights: tuple[Any, ...]) -> Callable[..., None]:
    """The buffer filtered along its columns into the result."""
    length, half = len(weights), len(weights) // 2

    def down(buffer: Any, place: tuple[int, int, int, int], result: Any) -> None:
        top, left, rows, columns = place
        for y in range(rows):
            out = result[top + y, left : left + columns]
            for x in range(columns):
                total = weights[half] * buffer[y + half, x]
                for j in range(half):
                    total += weights[j] * (buffer[y + j, x] + buffer[y + length - 1 - j, x])
                out[x] = total

    return down
