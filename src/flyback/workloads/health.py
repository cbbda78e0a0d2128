"""What disturbed a measurement: other processes, a busy host, a throttled device.

A process that computes uses as much processor time as passes on the wall. Where less was used,
somebody else had the processor: a detector of contention that needs no privilege.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["CONTENDED_GAP", "DeviceMonitor", "Watch", "cpu_wall_gap"]

CONTENDED_GAP = 0.05
"""Share of wall time without processor from which a measurement counts as contended."""

_STEAL_PCT = 2.0
_STEAL_FIELD = 7  # of /proc/stat's first line, after the name: proc_stat(5)
_FIELDS = 8


class DeviceMonitor(Protocol):
    """Watches a device while something is timed on it."""

    def finish(self) -> Mapping[str, Any]:
        """`throttle_reasons sm_mhz temp_c power_w energy_j foreign_pids`."""
        ...


def cpu_wall_gap(wall_ns: int, cpu_ns: int) -> float | None:
    """Share of wall time in which this process had no processor; 0 where it used several."""
    return max(0.0, 1 - cpu_ns / wall_ns) if wall_ns > 0 else None


@dataclass
class Watch:
    """Begins when it is made; `finish` gives the record's `health`.

    Args:
        on_device: Whether the work is done by a device: then waiting costs the host no processor
            time, and only the device's own monitor can tell.
        monitor: Watches the device; None where there is no way to.
    """

    on_device: bool = False
    monitor: DeviceMonitor | None = None
    _ticks: tuple[int, ...] | None = field(init=False)
    _switches: int = field(init=False)

    def __post_init__(self) -> None:
        self._ticks = _ticks()
        self._switches = _involuntary()

    def finish(self, wall_ns: int, cpu_ns: int) -> dict[str, Any]:
        """What was seen since the beginning.

        Args:
            wall_ns: Of the timed blocks.
            cpu_ns: Processor time of this process in them.
        """
        gap = None if self.on_device else cpu_wall_gap(wall_ns, cpu_ns)
        steal = _steal(self._ticks, _ticks())
        device = dict(self.monitor.finish()) if self.monitor else {}
        found = {
            "load1": round(os.getloadavg()[0], 2),
            "steal_pct": None if steal is None else round(steal, 2),
            "cpu_wall_gap": None if gap is None else round(gap, 4),
            "involuntary_switches": _involuntary() - self._switches,
            **device,
        }
        return {"verdict": self._verdict(gap, steal, device), **found}

    def _verdict(self, gap: float | None, steal: float | None, device: Mapping[str, Any]) -> str:
        if device.get("throttle_reasons"):
            return "throttled"
        if device.get("foreign_pids") or (steal or 0) > _STEAL_PCT:
            return "contended"
        if gap is None:
            return "clean" if device else "unknown"
        return "contended" if gap > CONTENDED_GAP else "clean"


def _ticks() -> tuple[int, ...] | None:
    """The kernel's account of all processors' time, user to steal."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    return tuple(int(word) for word in words[1 : 1 + _FIELDS])


def _steal(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> float | None:
    """Per cent of time that the hypervisor gave to others."""
    if before is None or after is None or len(after) < _FIELDS:
        return None
    passed = sum(after) - sum(before)
    return 100 * (after[_STEAL_FIELD] - before[_STEAL_FIELD]) / passed if passed > 0 else 0.0


def _involuntary() -> int:
    """How often this process lost its processor against its will."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
