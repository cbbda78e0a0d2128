"""Frames in host memory to spectra in host memory, through a device."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import UserError
from flyback.workloads.spectral.cuda.recipes import RECIPES, Constants, Piece, constants
from flyback.workloads.spectral.cuda.steps import Driver, Memory

__all__ = ["DeviceTransform"]

Array = npt.NDArray[Any]

_IN_FLIGHT = 2  # pieces of a batch: one is copied while another is computed
_FEWEST = 8  # frames in a piece of a batch: fewer cost more starts than they hide
_POLLS = 4096  # between two looks at the clock
_PATIENCE_S = 10.0


class DeviceTransform:
    """A `Transform` on a device: copy in, compute, copy out, the whole way that a user waits for.

    Args:
        driver: The device.
        name: Of the recipe.
        window: Shape (nfft,).
        output: `magnitude` or `complex`.
        wait: `spin` polls for the result without a pause, `yield` lets others have the processor
            between two looks, `block` sleeps until the driver wakes it.

    Raises:
        UserError: the recipe takes no frames of that length here.
    """

    def __init__(self, driver: Driver, name: str, window: Array, output: str, wait: str) -> None:
        self._constants = constants(driver, name, window, output)
        self._recipe = name
        self._nfft = window.size
        self._complex = output == "complex"
        self._wait = wait
        self._slots: dict[tuple[tuple[int, ...], int, int], _Slot] = {}

    def __call__(self, frames: Array) -> Array:
        """Spectra of frames of shape (…, channels, nfft); a new array."""
        stacked = frames.reshape((-1, *frames.shape[-2:])) if frames.ndim != 3 else frames  # noqa: PLR2004  # frames, channels, samples
        count, channels = stacked.shape[:2]
        kind = np.complex64 if self._complex else np.float32
        result = np.empty((count, channels, self._nfft // 2 + 1), kind)
        if count <= _FEWEST:  # one piece: what follows would cost a frame another microsecond
            slot = self._slot(stacked, 0)
            slot.begin(stacked)
            slot.finish(result)
            return result.reshape((*frames.shape[:-1], -1))
        waiting: list[tuple[_Slot, slice]] = []
        for number, part in enumerate(_parts(count)):
            if len(waiting) == _IN_FLIGHT:
                slot, where = waiting.pop(0)
                slot.finish(result[where])
            slot = self._slot(stacked[part], number % _IN_FLIGHT)
            slot.begin(stacked[part])
            waiting.append((slot, part))
        for slot, where in waiting:
            slot.finish(result[where])
        return result.reshape((*frames.shape[:-1], -1))

    def _slot(self, frames: Array, number: int) -> _Slot:
        hop = _hop(frames)
        slot = self._slots.get((frames.shape, hop, number))  # in every frame's latency
        if slot is None:
            count, channels, nfft = frames.shape
            piece = Piece(
                frames=count,
                channels=channels,
                nfft=nfft,
                hop=hop,
                complex_output=self._complex,
            )
            if number == 0:
                self._check_memory(piece)
            slot = _Slot(self._constants, self._recipe, piece, self._wait, number)
            self._slots[frames.shape, hop, number] = slot
        return slot

    def _check_memory(self, piece: Piece) -> None:
        """Whether the device holds as many such pieces as will be in flight.

        Raises:
            UserError: it does not; with the batch that it would hold.
        """
        needed = _IN_FLIGHT * RECIPES[self._recipe].device_bytes(piece)
        free = self._constants.driver.free_bytes()
        if needed > free:
            batch = 2 * _IN_FLIGHT * piece.frames * free // needed
            raise UserError(
                f"the batch takes {needed / 2**20:.1f} MiB of the device, which has "
                f"{free / 2**20:.1f} MiB free",
                where="parameters.batch",
                remedy=f"batch={max(batch, 1)} fits; nvidia-smi shows what else is there",
            )


def _parts(count: int) -> Iterator[slice]:
    """A batch in pieces, so that copies and computing overlap."""
    each = max(_FEWEST, -(-count // (2 * _IN_FLIGHT)))
    for start in range(0, count, each):
        yield slice(start, min(start + each, count))


def _hop(frames: Array) -> int:
    """Samples from frame to frame; nfft where they do not overlap in memory."""
    hop, odd = divmod(frames.strides[0], frames.itemsize)
    overlapping = 0 < hop < frames.shape[2] and not odd and frames.shape[0] > 1
    return hop if overlapping else frames.shape[2]


class _Slot:
    """Memory and steps for pieces of one shape, one at a time."""

    def __init__(
        self, shared: Constants, recipe: str, piece: Piece, wait: str, number: int
    ) -> None:
        self._piece = piece
        self._wait = wait
        source = shared.driver.pinned(piece.input_bytes)
        target = shared.driver.pinned(piece.output_bytes)
        steps, done = RECIPES[recipe].steps(shared, piece, source, target)
        self._played = shared.driver.ready(steps, recorded=RECIPES[recipe].recorded, queue=number)
        self._source: Array = _as(source, np.dtype(np.float32))
        self._source = self._source.reshape(piece.channels, piece.span)
        if piece.hop >= piece.nfft:  # frame by frame, as they will be given
            apart = self._source.reshape(piece.channels, piece.frames, piece.nfft)
            self._source = apart.transpose(1, 0, 2)
        kind = np.dtype(np.complex64 if piece.complex_output else np.float32)
        shape = (piece.frames, piece.channels, piece.nfft // 2 + 1)
        self._target = _as(target, kind).reshape(shape)
        self._done = None if done is None else _as(done, np.dtype(np.uint32)).data
        self._count = 0  # plays so far, as the device counts them

    def begin(self, frames: Array) -> None:
        """Copy the frames' samples, each once, and start computing."""
        piece = self._piece
        if piece.hop < piece.nfft:
            stretch = np.lib.stride_tricks.as_strided(
                frames, (piece.channels, piece.span), frames.strides[1:], writeable=False
            )
            np.copyto(self._source, stretch)
        else:
            np.copyto(self._source, frames)
        self._played.play()
        self._count = (self._count + 1) & 0xFFFFFFFF  # one that did not start is not waited for

    def finish(self, result: Array) -> None:
        """Wait for the spectra and copy them.

        Raises:
            UserError: the device failed, or did not answer.
        """
        if self._done is None or self._wait == "block":
            self._played.wait(sleep=self._wait == "block")
        else:
            self._poll(self._done)
        np.copyto(result, self._target)

    def _poll(self, done: memoryview) -> None:
        """Until the kernel's word is there: no call, no sleep, no interrupt."""
        count, yields = self._count, self._wait == "yield"
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            for _ in range(_POLLS):
                if done[0] == count:
                    return
                if yields:
                    os.sched_yield()
            if time.monotonic() > deadline:
                ended = self._played.done()  # says what is wrong, if the driver knows
                if done[0] == count:
                    return
                state = "has ended without one" if ended else "is still at it"
                raise UserError(
                    f"the device gave no result in {_PATIENCE_S:g} s, and {state}",
                    where="parameters.wait",
                    remedy="look at `nvidia-smi` and `dmesg` for errors of the device",
                )


def _as(memory: Memory, kind: np.dtype[Any]) -> Array:
    assert memory.host is not None, "page-locked memory is the host's"  # noqa: S101  # ours
    return memory.host.view(kind)
