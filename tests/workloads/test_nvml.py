"""The GPU's monitor and its clocks, on a stand-in for NVIDIA's module."""

# ruff: noqa: N802, N815  # NVIDIA's names

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from flyback.cli.main import main
from flyback.errors import InterruptedRunError, MissingExtraError, RefusedError
from flyback.results.compare import open_results
from flyback.workloads.health import Watch
from flyback.workloads.nvml import NvmlMonitor, driver_version, locked_clocks, monitor


class NVMLError(Exception):
    """As NVIDIA's."""


class Gpu(types.ModuleType):
    """`pynvml` with one device; each reading is the next of `clocks`."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
    nvmlClocksThrottleReasonGpuIdle = 0x1
    nvmlClocksThrottleReasonApplicationsClocksSetting = 0x2
    nvmlClocksThrottleReasonSwPowerCap = 0x4
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.clocks = iter([1980, 1200, 1500, 1980])
        self.reasons = 0x1
        self.pids: list[int] = [os.getpid()]
        self.energy = iter([1_000_000, 1_250_000])
        self.locked: list[Any] = []
        self.refuses = False
        self.opened: list[Any] = []

    def nvmlInit(self) -> None:
        """Nothing."""

    nvmlShutdown = nvmlInit

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.95.05"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self.opened.append(index)
        return "gpu"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.opened.append(uuid)
        return "gpu"

    def nvmlDeviceGetClockInfo(self, _device: str, _kind: int) -> int:
        return next(self.clocks)

    def nvmlDeviceGetTemperature(self, _device: str, _kind: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, _device: str) -> int:
        raise NVMLError("Not Supported")

    def nvmlDeviceGetTotalEnergyConsumption(self, _device: str) -> int:
        return next(self.energy)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _device: str) -> int:
        return self.reasons

    def nvmlDeviceGetComputeRunningProcesses(self, _device: str) -> list[Any]:
        return [types.SimpleNamespace(pid=pid) for pid in self.pids]

    def nvmlDeviceSetGpuLockedClocks(self, _device: str, low: int, high: int) -> None:
        if self.refuses:
            raise NVMLError("Insufficient Permissions")
        self.locked.append((low, high))

    def nvmlDeviceResetGpuLockedClocks(self, _device: str) -> None:
        self.locked.append("reset")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """The module as it is imported."""
    module = Gpu()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return module


def watched(gpu: Gpu) -> dict[str, Any]:
    """The health of a measurement during which the monitor reads twice."""
    pauses = iter([False, False, True])
    watch = Watch(on_device=True, monitor=NvmlMonitor(gpu, lambda _: next(pauses)))
    watch.monitor._thread.join()  # type: ignore[union-attr]  # so that it has read
    return watch.finish(1, 1)


def test_an_undisturbed_gpu_is_clean(gpu: Gpu) -> None:
    """Every reading counts; what the GPU does not tell is null; its own process is not foreign."""
    found = watched(gpu)
    assert found["verdict"] == "clean"
    assert found["sm_mhz"] == [1200, 1980, 1980]
    assert found["temp_c"] == [61, 61, 61]
    assert found["power_w"] is None
    assert found["energy_j"] == 250
    assert (found["throttle_reasons"], found["foreign_pids"]) == ([], [])


def test_a_throttled_gpu_and_a_foreign_process_are_seen(gpu: Gpu) -> None:
    """By the names of the reasons, one that nobody knows too; throttling is the worse."""
    gpu.reasons, gpu.pids = 0x2 | 0x4 | 0x40 | 0x800, [os.getpid(), 4711]
    found = watched(gpu)
    assert found["verdict"] == "throttled"
    reasons = ["power cap", "hardware thermal slowdown", "unknown 0x800"]
    assert (found["throttle_reasons"], found["foreign_pids"]) == (reasons, [4711])
    gpu.reasons = 0
    gpu.clocks, gpu.energy = iter([1] * 4), iter([0, 0])
    assert watched(gpu)["verdict"] == "contended"


def test_without_nvml_there_is_nothing_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package: no monitor, no driver, and a sentence where clocks are to be locked."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert (monitor(), driver_version()) == (None, None)
    with pytest.raises(MissingExtraError, match="needs nvidia-ml-py"), locked_clocks(1500):
        pass


def test_a_device_that_nvml_hides_costs_no_measurement(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some containers show a device to CUDA alone."""

    def hidden(*_: object) -> None:
        raise NVMLError("Not Found")

    monkeypatch.setattr(gpu, "nvmlDeviceGetHandleByIndex", hidden, raising=False)
    monkeypatch.setattr(gpu, "nvmlSystemGetDriverVersion", hidden, raising=False)
    assert (monitor(), driver_version()) == (None, None)


def test_clocks_are_given_back_however_it_ends(gpu: Gpu) -> None:
    """After an error, after SIGTERM, and where nobody asked nothing is touched."""
    with pytest.raises(ZeroDivisionError), locked_clocks(1500):
        raise ZeroDivisionError
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError), locked_clocks(1400):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    assert gpu.locked == [(1500, 1500), "reset", (1400, 1400), "reset"]
    with locked_clocks(None):
        pass
    assert len(gpu.locked) == 4


def test_clocks_are_given_back_off_the_main_thread_too(gpu: Gpu) -> None:
    """Only the main thread is told of signals; elsewhere an end is still an end."""
    ended: list[str] = []

    def work() -> None:
        with locked_clocks(1500):
            ended.append("held")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (ended, gpu.locked) == (["held"], [(1500, 1500), "reset"])


def test_lanes_of_one_session_are_not_foreign(gpu: Gpu) -> None:
    """Processes of the same parent take turns by agreement; the parent only tells them to."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sibling:
        code = (
            "import os, sys\nfrom flyback.workloads.nvml import _is_ours\n"
            "print([_is_ours(int(pid)) for pid in sys.argv[1:]], _is_ours(os.getpid()))"
        )
        words = [sys.executable, "-c", code, str(sibling.pid), str(os.getpid()), "1"]
        found = subprocess.run(words, check=True, capture_output=True, text=True)
        sibling.communicate(b"\n")
    assert found.stdout.strip() == "[True, True, False] True"
    assert gpu.locked == []


def test_the_first_process_of_a_container_sees_foreign_ones(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no parent, and another container's process can't be read: no parent in common."""
    monkeypatch.setattr(os, "getppid", lambda: 0)
    gpu.pids = [os.getpid(), 2**30]  # beyond any process id
    found = watched(gpu)
    assert (found["verdict"], found["foreign_pids"]) == ("contended", [2**30])


def test_a_driver_that_refuses_is_a_refusal(gpu: Gpu) -> None:
    """Many shared machines do; the sentence says how to go on."""
    gpu.refuses = True
    with pytest.raises(RefusedError, match="does not lock clocks at 1500 MHz"), locked_clocks(1500):
        pass
    assert gpu.locked == []


def test_the_bench_locks_and_says_so(
    gpu: Gpu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--lock-clocks`: held, given back, and in the record."""
    words = ("n=8", "samples=2", "--restarts", "1", "--lock-clocks", "1410", "--json")
    with pytest.raises(SystemExit) as ended:
        main(["bench", "matmul", *words, "--out", str(tmp_path)])
    assert ended.value.code == 0
    assert '"clock_mhz":1410' in capsys.readouterr().out
    assert gpu.locked == [(1410, 1410), "reset"]


def test_the_crossover_locks_too(gpu: Gpu, tmp_path: Path) -> None:
    """Held for both sides, given back where one of them fails, and in the records."""
    words = ("n=8", "samples=2", "--restarts", "1", "--lock-clocks", "1410")
    sides = ("--between", "dtype=float32,bfloat16", "backend=numpy")
    with pytest.raises(SystemExit) as ended:
        main(["crossover", "matmul", *words, "--between", "seed=0,1", "--out", str(tmp_path)])
    assert ended.value.code == 0
    assert gpu.locked == [(1410, 1410), "reset"]
    rows = open_results(tmp_path).results
    assert [row.method["clock_mhz"] for row in rows] == [1410, 1410]
    with pytest.raises(SystemExit) as ended:
        main(["crossover", "matmul", *words, *sides, "--out", str(tmp_path)])
    assert ended.value.code == 2  # NumPy has no bfloat16: nothing was locked for it
    assert gpu.locked == [(1410, 1410), "reset"]


@pytest.mark.parametrize(("visible", "opened"), [("", 0), ("2,0", 2), ("GPU-1f,GPU-2", "GPU-1f")])
def test_the_device_is_the_one_that_this_process_sees(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, visible: str, opened: object
) -> None:
    """`CUDA_VISIBLE_DEVICES` counts for NVML too, which does not read it itself."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with locked_clocks(1500):
        assert gpu.opened == [opened]
