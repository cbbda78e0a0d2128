"""What an NVIDIA GPU does while something is timed on it, and its clocks, through NVML.

Loaded only where a CUDA device computes or clocks are to be locked, so no other machine needs the
package (`nvidia-ml-py`). Constants and functions are those of NVIDIA's NVML API reference.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from flyback.errors import InterruptedRunError, MissingExtraError, RefusedError

__all__ = ["NvmlMonitor", "driver_version", "locked_clocks", "monitor"]

_PERIOD_S = 0.1
_PREFIX = "nvmlClocksThrottleReason"
_HARMLESS = ("GpuIdle", "ApplicationsClocksSetting")  # nothing was asked for, or just that clock
_REASONS = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "SwThermalSlowdown": "software thermal slowdown",
    "HwThermalSlowdown": "hardware thermal slowdown",
    "HwPowerBrakeSlowdown": "power brake",
    "DisplayClockSetting": "display clock setting",
}


class NvmlMonitor:
    """Reads clocks, temperature, power and throttle reasons ten times a second, from its creation.

    What a GPU does not tell (many virtual ones hide power or processes) is null.

    Args:
        nvml: The module `pynvml`.
        pause: Waits so many seconds or until it is told to end, and says whether it is; None
            takes real time.
    """

    def __init__(self, nvml: Any, pause: Callable[[float], bool] | None = None) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._device = _handle(nvml)
        self._series: dict[str, list[float]] = {"sm_mhz": [], "temp_c": [], "power_w": []}
        self._reasons = 0
        self._foreign: set[int] = set()
        self._energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        self._ended = threading.Event()
        self._pause = pause or self._ended.wait
        self._read()
        self._thread = threading.Thread(target=self._watch, name="nvml", daemon=True)
        self._thread.start()

    def finish(self) -> Mapping[str, Any]:
        """End, and give the record's `health` of the device.

        `sm_mhz`, `temp_c` and `power_w` are [least, median, greatest]; `energy_j` is the device's
        own count since the beginning.
        """
        self._ended.set()
        self._thread.join()
        self._read()
        energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        known = self._energy_mj is not None and energy_mj is not None
        found: dict[str, Any] = {name: _spread(each) for name, each in self._series.items()}
        found |= {
            "throttle_reasons": self._throttled(),
            "foreign_pids": sorted(self._foreign),
            "energy_j": (energy_mj - self._energy_mj) / 1000 if known else None,
        }
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
        return found

    def _watch(self) -> None:
        while not self._pause(_PERIOD_S):
            self._read()

    def _read(self) -> None:
        nvml = self._nvml
        for name, scale, function, *arguments in (
            ("sm_mhz", 1, "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            ("temp_c", 1, "nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            ("power_w", 1000, "nvmlDeviceGetPowerUsage"),
        ):
            value = self._ask(function, *arguments)
            if value is not None:
                self._series[name].append(value / scale)
        self._reasons |= self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses") or ()
        self._foreign |= {each.pid for each in processes if not _is_ours(each.pid)}

    def _ask(self, function: str, *arguments: Any) -> Any:
        """None where this GPU does not tell."""
        try:
            return getattr(self._nvml, function)(self._device, *arguments)
        except self._nvml.NVMLError:
            return None

    def _throttled(self) -> list[str]:
        left, found = self._reasons, []
        for name in (*_HARMLESS, *_REASONS):
            bit = getattr(self._nvml, _PREFIX + name, 0)
            if left & bit and name in _REASONS:
                found.append(_REASONS[name])
            left &= ~bit
        return [*found, f"unknown {left:#x}"] if left else found


def _is_ours(pid: int) -> bool:
    """This process, another lane of the same session, or the session's own process."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        parent = 0  # of another container, or gone
    ours = os.getppid()  # 0 for the first process of a container, as is what can't be read
    return pid in (os.getpid(), ours) or parent == ours > 0


def monitor() -> NvmlMonitor | None:
    """A monitor of the device that computes; None where there is no NVML, or it has no handle."""
    nvml = _loaded()
    if nvml is None:
        return None
    try:
        return NvmlMonitor(nvml)
    except nvml.NVMLError:  # CUDA shows a device that NVML does not, in some containers
        return None


def driver_version() -> str | None:
    """Of the NVIDIA driver; None where there is no NVML."""
    nvml = _loaded()
    if nvml is None:
        return None
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError:
        return None


@contextlib.contextmanager
def locked_clocks(mhz: int | None) -> Iterator[None]:
    """Hold the SM clock at `mhz`, and give it back however it ends; None changes nothing.

    SIGTERM ends it as Ctrl-C does. A process that is killed can't give anything back: then
    `nvidia-smi --reset-gpu-clocks` does.

    Args:
        mhz: Megahertz.

    Raises:
        MissingExtraError: `nvidia-ml-py` is not installed.
        RefusedError: the driver does not let this user lock clocks, as on many shared machines.
        InterruptedRunError: SIGTERM came.
    """
    if mhz is None:
        yield
        return
    with _interruptible():
        nvml, device = _lock(mhz)
        try:
            yield
        finally:
            try:
                nvml.nvmlDeviceResetGpuLockedClocks(device)
            finally:
                nvml.nvmlShutdown()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM raises meanwhile; only the main thread may set that, and only it is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _lock(mhz: int) -> tuple[Any, Any]:
    try:
        import pynvml
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "locking clocks needs nvidia-ml-py, which is not installed",
            where="--lock-clocks",
            remedy="pip install 'flyback[gpu]'",
        ) from error
    try:
        pynvml.nvmlInit()
        device = _handle(pynvml)
        pynvml.nvmlDeviceSetGpuLockedClocks(device, mhz, mhz)
    except pynvml.NVMLError as error:
        raise RefusedError(
            f"the driver does not lock clocks at {mhz} MHz: {error}",
            where="--lock-clocks",
            remedy="measure without it; the record says how the clock moved",
        ) from error
    return pynvml, device


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise InterruptedRunError("interrupted while clocks were locked")


def _loaded() -> Any:
    """The module, where it and a driver are there."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handle(nvml: Any) -> Any:
    """The first device that `CUDA_VISIBLE_DEVICES` lets this process see."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if first.startswith("GPU-"):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdigit() else 0)


def _spread(values: list[float]) -> list[float] | None:
    ordered = sorted(values)
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]] if ordered else None
