"""What a workload is: inputs, one timed call, the truth to compare with, and the work done.

The runner owns timing, statistics and the record; a workload only computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flyback.workloads.stopping import Stop
from flyback.workloads.timing import DeviceClock

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Comparison", "Journey", "Prepared", "Stream", "Work", "Workload"]

P = TypeVar("P")


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one latency sample stands for.

    Args:
        flops: Arithmetic operations, by the formula that the workload documents.
        bytes: Bytes that must move at least: inputs read once, outputs written once.
        items: How many items, and what they are called.
        item_unit: `frame`, `image`, …
        bytes_h2d: Bytes that go from the host to the device.
        bytes_d2h: Bytes that come back.
        launches: Kernels that are started one after another.
    """

    flops: int
    bytes: int
    items: int
    item_unit: str
    bytes_h2d: int = 0
    bytes_d2h: int = 0
    launches: int = 0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A signal that arrives at a given rate.

    Args:
        fs_hz: Sampling rate of each channel, Hz.
        nfft: Samples per frame.
        hop: New samples per frame.
        channels: Channels.
        deadline_ns: A sample whose latency exceeds it is a miss.
    """

    fs_hz: float
    nfft: int
    hop: int
    channels: int
    deadline_ns: int


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What `setup` found out.

    Args:
        backend: `name` and `version` of the library that computes.
        dtype: Element type that it computes in.
        warmup: Latency samples to throw away first; a number fixed beforehand.
        samples: Latency samples to keep, at least.
        snr_floor_db: Least signal-to-noise ratio of the correctness gate, dB.
        reference: Element type of the reference.
        stream: Rate of the signal, for workloads that have one.
        method: What else a reader must know to repeat the measurement.
        device: `kind` and `name` of what computes; None is this machine's processor.
        period_ns: Time between two arrivals of an open loop; None calls again as soon as it can.
        most_samples: Where sampling ends at the latest; None: four times `samples`.
    """

    backend: Mapping[str, str]
    dtype: str
    warmup: int
    samples: int
    snr_floor_db: float
    reference: str = "float64"
    stream: Stream | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] | None = None
    period_ns: int | None = None
    most_samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a workload computed, beside the same in higher precision; equal shapes.

    Args:
        label: Which input.
        kind: Which output.
        actual: Shape (…, elements of one result).
        expected: The same shape, from the reference.
    """

    label: str
    kind: str
    actual: Array
    expected: Array


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What a pass that may be interrupted stands on.

    Args:
        folder: Where it keeps its place; None keeps none.
        stop: Asked between two steps whether to end.
        report: Told how far it is.
    """

    folder: Path | None
    stop: Stop
    report: Callable[[str], None]


class Workload(ABC, Generic[P]):
    """One benchmark. Created without arguments, then `setup`, `gate`, and many times `run`.

    Attributes:
        repeatable: Whether `run` yields one result that does not depend on the calls before, so
            that several calls may share one sample where a call is too short for the clock.
    """

    repeatable: ClassVar[bool] = False

    @abstractmethod
    def setup(self, parameters: P) -> Prepared:
        """Load or make inputs and prepare everything that is not timed.

        Raises:
            UserError: an input is missing or unusable.
        """

    @abstractmethod
    def run(self) -> Iterator[Any]:
        """One timed call: yield each result the moment that it can be used.

        The runner takes a latency from the start of the call to each yield, so a call that
        completes three frames gives three latencies, and one that completes none gives none.
        A result is the caller's: later calls leave it alone.
        """

    @abstractmethod
    def reference(self) -> Array:
        """What the result that `run` yielded last should have been, in higher precision."""

    @abstractmethod
    def work(self) -> Work:
        """What each result of `run` stands for."""

    def whole(self, journey: Journey) -> Mapping[str, Any] | None:
        """Where the parameters ask for one pass over the input instead of timing: what it gave.

        Called after the gate. It keeps its place in `journey`, so that a pass that was interrupted
        goes on, on whatever machine.

        Raises:
            InterruptedRunError: it was asked to end; its place is kept.
        """
        del journey
        return None

    def gate(self) -> Iterator[Comparison]:
        """Comparisons that must pass before anything is timed; by default, one call's results."""
        for result in self.run():
            yield Comparison(label="run", kind="result", actual=result, expected=self.reference())

    def actual(self, result: Any) -> Array:
        """A timed result as an array on the host; by default it is one."""
        array: Array = result
        return array

    def fresh(self) -> Iterator[Comparison]:
        """Comparisons on inputs that no call has seen, once the timing is over; none by default."""
        return iter(())

    def metrics(self) -> Mapping[str, Any]:
        """Figures of the workload's own, for the record's `values`."""
        return {}

    def device_clock(self) -> DeviceClock | None:
        """Clock of the device that computes; None where that is the host."""
        return None

    def teardown(self) -> None:
        """Give back what `setup` took outside the process's memory: files, say."""
