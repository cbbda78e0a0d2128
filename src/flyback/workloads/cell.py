"""One cell while it is measured: set-up, gate, warm-up, blocks of samples, gate again.

Apart from `runner`, so that several cells can take turns in the same session.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyback.spec.clock import Clock, SystemClock
from flyback.workloads.accuracy import Gate
from flyback.workloads.control import control_call
from flyback.workloads.declaration import Declaration
from flyback.workloads.health import DeviceMonitor, Watch
from flyback.workloads.parameters import Parameters
from flyback.workloads.stopping import Stop
from flyback.workloads.timing import SETTLE, Limits, Timer, Timing, calibrated_inner
from flyback.workloads.workload import Comparison, Workload

__all__ = ["Cell", "Setting"]

_PADS = 6
_CONTROLS = 5  # a millisecond between two blocks
_FACTOR = 4  # most samples, in units of the fewest


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What surrounds a measurement.

    Args:
        samples_dir: Folder for raw samples; None keeps none.
        checkpoint_dir: Folder where a pass over an input keeps its place; None keeps none.
        timer: Clock of the latencies, ns.
        clock: Time of day.
        stop: Whether to end early.
        report: Told each step, one line at a time.
        started_ns: `time.perf_counter_ns` when the process began its work; None: when the cell is
            opened.
        ceilings: Gives the limits of a kind of device; None, or none known, leaves the record's
            `roofline` empty.
        control: Whether to time the calibration cell between the blocks.
        monitor: Begins to watch the device that computes; None where there is nothing to watch.
    """

    samples_dir: Path | None = None
    checkpoint_dir: Path | None = None
    timer: Timer = time.perf_counter_ns
    clock: Clock = field(default_factory=SystemClock)
    stop: Stop = field(default_factory=Stop)
    report: Callable[[str], None] = lambda _: None
    started_ns: int | None = None
    ceilings: Callable[[str], dict[str, Any] | None] | None = None
    control: bool = False
    monitor: Callable[[], DeviceMonitor | None] = lambda: None


class Cell:
    """A workload with its parameters, from set-up to the last check.

    Args:
        declaration: What the workload says about itself.
        workload: New, not yet set up.
        parameters: Checked.
        setting: What surrounds the measurement.
    """

    def __init__(
        self,
        declaration: Declaration,
        workload: Workload[Any],
        parameters: Parameters,
        setting: Setting,
    ) -> None:
        self.declaration = declaration
        self.workload = workload
        self.parameters = parameters
        self.setting = setting
        began = time.perf_counter_ns()
        self.prepared = workload.setup(parameters)
        set_up = time.perf_counter_ns()
        self.timing = Timing(setting.timer, setting.stop, device=workload.device_clock())
        self.gate = Gate(self.prepared.snr_floor_db, self.prepared.reference)
        self.failure = ""
        self.stop_reason = ""
        self.cold = self._first_call(began, set_up)

    @property
    def on_device(self) -> bool:
        """Whether something beside the host's processor computes."""
        return self.prepared.device is not None and self.prepared.device["kind"] != "cpu"

    def _first_call(self, began: int, set_up: int) -> dict[str, float]:
        """What a short run on a fresh machine pays: imports, set-up and the first result."""
        for _ in range(1 << 10):  # a chunk may complete no frame
            if sum(1 for _ in self.workload.run()):
                break
        now = time.perf_counter_ns()
        started = began if self.setting.started_ns is None else self.setting.started_ns
        return {
            "first_s": (now - started) / 1e9,
            "import_s": (began - started) / 1e9,
            "setup_s": (set_up - began) / 1e9,
            "first_call_s": (now - set_up) / 1e9,
        }

    def check(self) -> bool:
        """The gate before anything is timed; whether it passed."""
        report, floor = self.setting.report, self.gate.floor_db
        for comparison in self.workload.gate():
            self.setting.stop.check("checking correctness")
            value = self.gate.add(comparison)
            report(
                f"gate: {comparison.label} {comparison.kind}: {value:.1f} dB against "
                f"{self.gate.reference}, at least {floor:g}: "
                f"{'passed' if value >= floor else 'FAILED'}"
            )
        return self._passes("the correctness gate")

    def warm(self) -> None:
        """Warm up until the level holds, and find how many calls one sample takes."""
        self.setting.report(f"warm-up: {self.prepared.warmup} samples")
        on_device = self.on_device
        self.watch = Watch(on_device, self.setting.monitor() if on_device else None)
        self.timing.settle(self.workload.run, self.prepared.warmup)
        if self.workload.repeatable:
            self.timing.inner = calibrated_inner(self.workload.run, self.setting.timer)

    def renew(self, workload: Workload[Any], seed: int) -> None:
        """Set up anew, elsewhere in memory: where arrays happen to lie is worth several per cent.

        Args:
            workload: New, not yet set up.
            seed: Of the sizes of what is held meanwhile, so that the same places are not free.
        """
        rng = random.Random(seed)  # noqa: S311  # padding, not a secret
        ballast = [bytearray(rng.randrange(1 << 12, 1 << 19)) for _ in range(_PADS)]
        workload.setup(self.parameters)
        self.workload.teardown()
        self.workload = workload
        del ballast
        self.timing.last = None
        self.timing.device = workload.device_clock()
        self.timing.warm(workload.run, SETTLE, "warming up")

    def sample(self) -> None:
        """Take samples until the stop rule is met."""
        samples = self.prepared.samples
        between = self._control() if self.setting.control else lambda: None
        between()
        if self.prepared.period_ns is not None:
            self.timing.paced(self.workload.run, samples, self.prepared.period_ns)
            self.stop_reason = "as many arrivals as were asked for"
            return
        limits = Limits(samples=samples, most=self.prepared.most_samples or _FACTOR * samples)
        self.stop_reason = self.timing.sample(
            self.workload.run,
            limits,
            lambda n: self.setting.report(f"timing: {n} of {samples} samples"),
            between,
        )
        taken = len(self.timing.latencies)
        if taken > samples:
            self.setting.report(f"timing: {taken} samples in the end: {self.stop_reason}")

    def _control(self) -> Callable[[], None]:
        """Times the calibration cell a few times; what it took says what the machine did."""
        call, timer, control_ns = control_call(), self.setting.timer, self.timing.control_ns

        def between() -> None:
            call()
            for _ in range(_CONTROLS):
                start = timer()
                call()
                control_ns.append(timer() - start)

        return between

    def check_again(self) -> bool:
        """The last timed result, and inputs that no call has seen; whether both are right."""
        if self.timing.last is not None:
            self.gate.add(
                Comparison(
                    label="last timed result",
                    kind="result",
                    actual=self.workload.actual(self.timing.last),
                    expected=self.workload.reference(),
                )
            )
        for comparison in self.workload.fresh():
            self.gate.add(comparison)
        return self._passes("the check after timing")

    def _passes(self, stage: str) -> bool:
        if self.gate.passes():
            return True
        value, worst = self.gate.worst
        floor = self.gate.floor_db
        self.failure = f"{stage} failed: {worst} reaches {value:.1f} dB, {floor:g} dB is needed"
        return False
