"""Time on a device, and the limits that it is held against."""

from __future__ import annotations

import time
import types
from collections.abc import Iterator
from typing import Any

import pytest

from flyback.workloads import device as devices
from flyback.workloads.device import open_device
from flyback.workloads.roofline import bound_ns
from flyback.workloads.stopping import Stop
from flyback.workloads.timing import Timing
from flyback.workloads.workload import Work


class Torch:
    """As much of torch as queues and waits; the device's clock counts what was queued."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cuda = self
        self.events = 0

    def is_available(self) -> bool:
        """It is."""
        return True

    def synchronize(self) -> None:
        """The host waits."""
        self.log.append("wait")

    def Event(self, *, enable_timing: bool) -> Any:  # noqa: N802  # torch's name
        """The first is the beginning, the second the end."""
        assert enable_timing
        name = ("begin", "end")[self.events]
        self.events += 1
        return types.SimpleNamespace(
            record=lambda: self.log.append(name),
            synchronize=lambda: self.log.append("wait for end"),
            elapsed_time=lambda _: 0.002,
        )


def test_the_devices_time_ends_with_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is queued behind the work and before the host waits, in a call of its own.

    After the wait it would tell the host's time; around a timed call it would be in its latency.
    """
    torch = Torch()
    monkeypatch.setattr(devices, "torch_or_error", lambda _: torch)
    device = open_device("cuda")

    def run() -> Iterator[int]:
        torch.log.append("work")
        device.synchronize()
        yield 1

    timing = Timing(iter(range(0, 10**9, 5)).__next__, Stop(), device=device.clock())
    timing.block(run, count=1, settle=0)
    assert torch.log == ["work", "wait", "begin", "work", "end", "wait", "wait for end"]
    assert (list(timing.latencies), list(timing.device_ns)) == ([5], [2000])


class Clocks:
    """A host's clock that only work moves, and a device's that says as much."""

    name = "stand-in"

    def __init__(self) -> None:
        self.now = 0

    def work(self) -> Iterator[int]:
        """A millisecond."""
        self.now += 1_000_000
        yield 1

    def start(self) -> None:
        """To queue an event takes a microsecond."""
        self.now += 1000

    def stop(self) -> int:
        """So does the other one."""
        self.now += 1000
        return 1_000_000


def test_the_devices_calls_are_in_no_rate() -> None:
    """Throughput is the inverse of the mean latency, whether or not a device has a clock."""
    clocks = Clocks()
    timing = Timing(lambda: clocks.now, Stop(), inner=2, device=clocks)
    timing.block(clocks.work, count=20, settle=0)
    assert len(timing.device_ns) == 20
    assert timing.wall_ns == timing.inner * sum(timing.latencies) == 40_000_000


def test_the_devices_calls_are_in_no_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap between processor and wall would be taken for a neighbour."""
    clocks = Clocks()
    monkeypatch.setattr(time, "process_time_ns", lambda: clocks.now)
    timing = Timing(lambda: clocks.now, Stop(), device=clocks)
    timing.block(clocks.work, count=20, settle=0)
    assert timing.cpu_ns == timing.wall_ns == 20_000_000


def test_a_limit_is_less_than_any_way_of_working() -> None:
    """A bus carries both ways at once, and kernels queue up: the way there is paid once."""
    ceilings = {
        "flop_s": {"float32": 1e12},
        "dram_bytes_s": 1e12,
        "cache_bytes_s": 1e13,
        "h2d_bytes_s": 1e9,
        "d2h_bytes_s": 2e9,
        "launch_ns": 8000,
    }
    work = Work(flops=1000, bytes=8, items=1, item_unit="x", bytes_h2d=4000, bytes_d2h=4000)
    assert bound_ns(work, "float32", ceilings) == (4000.0, "transfer")
    work = Work(flops=1000, bytes=8, items=1, item_unit="x", launches=10)
    assert bound_ns(work, "float32", ceilings) == (8001.0, "launch")
    assert bound_ns(Work(flops=0, bytes=0, items=1, item_unit="x"), "float32", ceilings) is None
