"""The calibration cell: the same fixed work in every run, so that two machines' states compare.

A real transform of 16 x 1024 numbers in float64 and back: arithmetic within a core's own caches, a
fifth of a millisecond, on one thread. It never changes; where it must, its version does, and runs
of different versions are not compared through it.
"""

from __future__ import annotations

from typing import Any

from flyback.workloads.plugin import Plugin
from flyback.workloads.workload import Work

__all__ = ["CONTROL_VERSION", "Control", "control_call"]

CONTROL_VERSION = "1"

_ROWS, _LENGTH = 16, 1024


class Control(Plugin):
    """Fixed work that shows what a machine was doing beside the benchmark."""

    name = "control"
    version = CONTROL_VERSION
    dtype = "float64"
    snr_floor_db = 200.0

    def setup(self, p: Any, device: Any) -> None:
        del p
        self.x = device.normal(_ROWS, _LENGTH, dtype="float64")

    def run(self) -> Any:
        import numpy as np

        return np.fft.irfft(np.fft.rfft(self.x))

    def reference(self) -> Any:
        return self.x

    def work(self) -> Work:
        flops = 2 * round(2.5 * _LENGTH * 10) * _ROWS
        return Work(flops=flops, bytes=2 * 8 * _ROWS * _LENGTH, items=1, item_unit="call")


def control_call() -> Any:
    """A function that does the control's work once."""
    from flyback.workloads.device import Device

    control = Control()
    control.setup(None, Device(0))
    return control.run
