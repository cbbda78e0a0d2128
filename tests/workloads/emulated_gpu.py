"""A device without a GPU: the same kernels, compiled as C++, on a thread of their own.

Shared by tests. What it can't show is the device: its memory model, its speed, its driver.
"""

from __future__ import annotations

import ctypes
import itertools
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flyback.workloads.spectral.cuda.steps import Copy, Fft, Launch, Step

__all__ = ["EmulatedDriver"]


class _Memory:
    """Poisoned with NaN, as a device's memory holds anything."""

    def __init__(self, size: int) -> None:
        self.host = np.full(size, 0xFF, np.uint8)
        self.address = self.host.ctypes.data
        self.size = size


class EmulatedDriver:
    """A device of the shape of `steps.Driver`.

    Args:
        folder: For compiled kernels.
        shared_bytes_max: Most dynamic shared memory of a block.
        backwards: Blocks and threads run last first.
        dead: Nothing that is queued is ever done.
        free_bytes: What it says of its memory.
    """

    version = "emulated"

    def __init__(
        self,
        folder: Path,
        *,
        shared_bytes_max: int = 1 << 16,
        backwards: bool = False,
        dead: bool = False,
        free_bytes: int = 1 << 30,
    ) -> None:
        self.shared_bytes_max = shared_bytes_max
        self.played: list[tuple[str, ...]] = []
        self.queues: set[int] = set()
        self._folder = folder
        self._backwards = backwards
        self.dead = dead
        self.slept: list[bool] = []
        self._free_bytes = free_bytes
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def describe(self) -> Mapping[str, Any]:
        """As the record shows it."""
        return {"kind": "cuda", "name": "emulated"}

    def free_bytes(self) -> int:
        """As it was opened with."""
        return self._free_bytes

    def pinned(self, size: int) -> _Memory:
        """Memory that both sides see; zero, as the real driver gives it."""
        memory = _Memory(size)
        memory.host[:] = 0
        return memory

    def resident(self, content: Any) -> _Memory:
        """A copy, or so many zero bytes."""
        if isinstance(content, int):
            return self.pinned(content)
        memory = _Memory(content.nbytes)
        memory.host[:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        return memory

    def kernel(self, source: str, name: str, defines: Mapping[str, int]) -> Any:
        """The kernel as a C function: blocks, order, addresses of the arguments."""
        label = "-".join(str(value) for value in defines.values())
        library = self._folder / f"spectrum-{label}.so"
        if not library.exists():
            text = library.with_suffix(".cpp")
            text.write_text(source)
            options = [f"-D{key}={value}" for key, value in defines.items()]
            command = ["g++", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", *options]
            subprocess.run([*command, "-o", str(library), str(text)], check=True)
        return getattr(ctypes.CDLL(str(library)), f"launch_{name}")

    def ready(self, steps: Sequence[Step], *, recorded: bool, queue: int = 0) -> _Played:
        """Steps that the thread will take; it is one, for all queues."""
        self.queues.add(queue)
        return _Played(self, tuple(steps), recorded=recorded)

    def enqueue(self, steps: tuple[Step, ...]) -> None:
        """Leave them to the thread."""
        if not self.dead:
            self._work.put(steps)

    def drain(self) -> None:
        """Wait for the thread."""
        if not self.dead:
            done = threading.Event()
            self._work.put(done)
            done.wait()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if isinstance(work, threading.Event):
                work.set()
                continue
            for step in work:
                self._do(step)

    def _do(self, step: Step) -> None:
        match step:
            case Copy():
                assert step.source.size == step.target.size
                ctypes.memmove(step.target.address, step.source.address, step.source.size)
            case Fft():
                count = step.rows * step.nfft
                source = (ctypes.c_float * count).from_address(step.source.address)
                rows = np.frombuffer(source, np.float32).reshape(step.rows, step.nfft)
                spectra = np.ascontiguousarray(np.fft.rfft(rows).astype(np.complex64))
                ctypes.memmove(step.target.address, spectra.ctypes.data, spectra.nbytes)
            case Launch():
                self._launch(step)

    def _launch(self, step: Launch) -> None:
        values = [
            value if isinstance(value, ctypes._SimpleCData) else ctypes.c_void_p(value.address)
            for value in step.arguments
        ]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        step.kernel(ctypes.c_uint(step.blocks), int(self._backwards), addresses)


class _Played:
    """Counts its plays in the driver, by what they are made of."""

    def __init__(self, driver: EmulatedDriver, steps: tuple[Step, ...], *, recorded: bool) -> None:
        self._driver = driver
        self._steps = steps
        kinds = [type(step).__name__ for step in steps]
        self._kinds = tuple(itertools.chain(["graph"] if recorded else [], kinds))

    def play(self) -> None:
        """Queue the steps."""
        self._driver.played.append(self._kinds)
        self._driver.enqueue(self._steps)

    def wait(self, *, sleep: bool) -> None:
        """Wait for all that was queued."""
        self._driver.slept.append(sleep)
        self._driver.drain()

    def done(self) -> bool:
        """A dead device is never done."""
        return not self._driver.dead
