"""What a device is told to do, as data: copies, launches, a library's transform.

A recipe lists steps; a driver plays them, one by one or as a recorded graph. The driver of a real
device is `driver.CudaDriver`; any object of the same shape may stand in for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

__all__ = ["Copy", "Driver", "Fft", "Launch", "Memory", "Played", "Step"]

Array = npt.NDArray[Any]


class Memory(Protocol):
    """Bytes that a device can reach.

    Attributes:
        address: As the device sees it.
        size: Bytes.
        host: The same bytes as uint8 on the host; None for memory of the device's own.
    """

    address: int
    size: int
    host: Array | None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A kernel.

    Args:
        kernel: From `Driver.kernel`.
        blocks: Blocks of the grid.
        threads: Threads per block.
        shared_bytes: Dynamic shared memory per block.
        arguments: ctypes values or memory, in the kernel's order.
    """

    kernel: Any
    blocks: int
    threads: int
    shared_bytes: int
    arguments: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """All bytes of one memory to another, over the bus or on the device."""

    source: Memory
    target: Memory


@dataclass(frozen=True, kw_only=True)
class Fft:
    """Real transforms by the library's own plan: `rows` of `nfft` float32 to complex64."""

    source: Memory
    target: Memory
    rows: int
    nfft: int


Step = Launch | Copy | Fft


class Played(Protocol):
    """Steps that are ready to be played any number of times."""

    def play(self) -> None:
        """Queue them; returns at once."""
        ...

    def wait(self, *, sleep: bool) -> None:
        """Return once everything in the queue is done.

        Args:
            sleep: Leave the processor to others meanwhile, and be woken.

        Raises:
            UserError: the device failed.
        """
        ...

    def done(self) -> bool:
        """Whether everything in the queue is done; returns at once.

        Raises:
            UserError: the device failed.
        """
        ...


class Driver(Protocol):
    """A device.

    Attributes:
        version: Of what drives it.
        shared_bytes_max: Most dynamic shared memory of a block.
    """

    version: str
    shared_bytes_max: int

    def describe(self) -> Mapping[str, Any]:
        """The record's `device`."""
        ...

    def free_bytes(self) -> int:
        """The device's memory that nobody uses."""
        ...

    def pinned(self, size: int) -> Memory:
        """Page-locked memory of the host that the device reads and writes over the bus."""
        ...

    def resident(self, content: Array | int) -> Memory:
        """Memory of the device: a copy of the array, or so many zero bytes."""
        ...

    def kernel(self, source: str, name: str, defines: Mapping[str, int]) -> Any:
        """A kernel, compiled for this device."""
        ...

    def ready(self, steps: Sequence[Step], *, recorded: bool, queue: int = 0) -> Played:
        """Steps in this order, as one graph where `recorded`.

        Args:
            steps: What is done, over memory of this driver.
            recorded: Whether a play is one call.
            queue: Steps of different queues are done side by side where the device can.
        """
        ...
