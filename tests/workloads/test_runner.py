"""From parameters to the record, by a clock that only the engine's work advances."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flyback.errors import InterruptedRunError
from flyback.spec.codec import dumps, loads
from flyback.spec.result import Result
from flyback.stats.quantiles import PER_MILLE, summarize
from flyback.workloads import registry
from flyback.workloads.report import render
from flyback.workloads.runner import Setting, measure
from flyback.workloads.stopping import Stop
from flyback.workloads.timing import Timing
from flyback.workloads.workload import Prepared, Work, Workload

Array = Any
SMALL = {"nfft": 64, "channels": 2, "frames": 500, "warmup": 10, "backend": "numpy"}


class FakeTime:
    """A clock in nanoseconds that moves when somebody works."""

    def __init__(self) -> None:
        self.ns = 10**9

    def __call__(self) -> int:
        return self.ns

    def now(self) -> float:
        """Seconds since the epoch."""
        return 1_800_000_000.25

    def sleep(self, seconds: float) -> None:
        """Nothing waits here."""
        raise AssertionError(seconds)

    def wait(self, process: object, seconds: float) -> bool:
        """Nothing waits here."""
        raise AssertionError(process, seconds)


@pytest.fixture
def fake_time() -> FakeTime:
    """A clock that stands still."""
    return FakeTime()


Inject = Callable[[Callable[[Array], Array]], None]


def costing(fake_time: FakeTime, costs: Iterator[int]) -> Callable[[Array], Array]:
    """An engine of known cost: the next of `costs` for every call, in nanoseconds."""

    def change(spectra: Array) -> Array:
        fake_time.ns += next(costs)
        return spectra

    return change


def always(cost: int) -> Iterator[int]:
    """The same cost for ever."""
    while True:
        yield cost


def run(values: dict[str, Any], **setting: Any) -> Result:
    """Measure the spectral workload."""
    declaration = registry.find("spectral")
    parameters = registry.resolved("spectral", {**SMALL, **values})
    return measure(declaration, registry.create(declaration), parameters, Setting(**setting))


def parts(result: Result) -> tuple[Any, Any]:
    """Stream and latencies of a result that has them."""
    assert result.status == "ok", result.reason
    assert result.stream is not None
    assert result.latency_ns is not None
    return result.stream, result.latency_ns


@pytest.mark.parametrize(("overlap", "hop"), [(0.0, 64), (0.5, 32), (0.9375, 4)])
def test_the_margin_is_signal_time_over_wall_time(
    overlap: float, hop: int, fake_time: FakeTime, inject: Inject
) -> None:
    """An engine that takes 8 us per frame: hop / fs / 8 us, exactly, whatever the overlap."""
    inject(costing(fake_time, always(8000)))
    stream, latency = parts(run({"overlap": overlap, "fs_hz": 50_000}, timer=fake_time))
    margin = hop / 50_000 / 8e-6
    assert stream["hop"] == hop
    assert stream["margin_mean"] == pytest.approx(margin, rel=1e-15)
    assert stream["margin_p50"] == stream["margin_p99"] == stream["margin_mean"]
    assert stream["deadline_ns"] == hop * 20_000
    assert stream["frames"] == latency["n"] == 500
    assert latency["min"] == latency["max"] == latency["mean"] == latency["p99"] == 8000
    assert stream["misses"] == 0


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9375])
@pytest.mark.parametrize("chunk", [1, 7, 32, 64, 200, 1000])
def test_a_call_counts_for_the_frames_that_it_yields(
    overlap: float, chunk: int, fake_time: FakeTime, inject: Inject
) -> None:
    """Chunks that complete no frame, one or many: each frame is counted once, with its own wait.

    The j-th frame of a call is there after j times the cost; the margin stays what it is.
    """
    inject(costing(fake_time, always(8000)))
    values = {"overlap": overlap, "chunk": chunk, "frames": 100}
    stream, latency = parts(run(values, timer=fake_time))
    assert latency["n"] >= 100
    assert stream["frames"] == latency["n"]
    assert stream["margin_mean"] == pytest.approx(stream["hop"] / 1e5 / 8e-6, rel=1e-15)
    assert latency["min"] == 8000
    most = -(-chunk // stream["hop"])  # frames that one chunk can complete
    assert 8000 <= latency["max"] <= 8000 * most
    assert (latency["max"] > 8000) == (chunk > stream["hop"])


def test_a_batch_is_one_latency_and_many_frames(fake_time: FakeTime, inject: Inject) -> None:
    """32 frames in a call of 64 us: margin by the signal of 32 hops, due when they have come."""
    inject(costing(fake_time, always(64_000)))
    result = run({"mode": "batch", "batch": 32, "frames": 3200}, timer=fake_time)
    stream, latency = parts(result)
    assert latency["n"] == 100
    assert stream["frames"] == 3200
    assert stream["frames_per_sample"] == 32
    assert stream["deadline_ns"] == 32 * 32 * 10_000
    assert stream["margin_mean"] == pytest.approx(32 * 32 / 1e5 / 64e-6, rel=1e-15)
    assert result.rate is not None
    assert result.rate["items_s"] == pytest.approx(32 / 64e-6, rel=1e-12)


def test_slow_frames_are_misses_and_stay_in_every_figure() -> None:
    """7 of 500 frames over the deadline: counted as 7, and they are the tail and the maximum."""
    slow = {10, 60, 111, 112, 200, 333, 499}
    stream, latency = parts(run({"warmup": 0}, timer=scripted(slow)))
    assert stream["misses"] == len(slow)
    assert latency["max"] == 900_000
    assert latency["p99"] == 900_000  # rank 495 of 500 lies among the 7 slowest
    assert latency["p95"] == 1000
    assert latency["mean"] == (493 * 1000 + 7 * 900_000) // 500
    assert stream["margin_p99"] == pytest.approx(320_000 / 900_000)


def scripted(slow: set[int]) -> Callable[[], int]:
    """A clock under which frame k takes 1 us, and 900 us where k is in `slow`.

    In a block the timer is read once at the start, twice per frame, once at the end.
    """
    state = {"ns": 0, "frame": 0, "reading": 0}
    block = 50

    def timer() -> int:
        within = state["reading"] % (2 * block + 2)
        if 0 < within < 2 * block + 1 and within % 2 == 0:
            state["ns"] += 900_000 if state["frame"] in slow else 1000
            state["frame"] += 1
        state["reading"] += 1
        return state["ns"]

    return timer


@pytest.mark.parametrize("mode", ["streaming", "batch"])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.9375])
def test_the_signal_runs_on_over_its_seam(mode: str, overlap: float) -> None:
    """Long after the looped input began anew, the last frame is still the right one."""
    result = run({"mode": mode, "overlap": overlap, "frames": 3000, "warmup": 0, "chunk": 77})
    assert result.status == "ok", result.reason
    assert result.accuracy is not None
    assert result.accuracy["inputs"]["last timed result"]["result"] > 120


def test_reported_figures_can_be_recomputed_from_the_samples(tmp_path: Path) -> None:
    """The file has the hash that the record says and every latency; its p99 is the reported one."""
    result = run({"frames": 700}, samples_dir=tmp_path / "new")
    stream, latency = parts(result)
    assert result.samples is not None
    path = tmp_path / "new" / result.samples["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result.samples["sha256"]
    with np.load(path) as file:
        samples, blocks = file[result.samples["array"]], file["block_start"]
    assert samples.dtype == np.int64
    assert len(samples) == result.samples["n"] == latency["n"] >= 700
    assert list(blocks) == list(range(0, len(samples), 70))
    assert summarize(samples) == latency
    for name, per_mille in PER_MILLE.items():
        if latency[name] is not None:
            assert np.quantile(samples, per_mille / 1000, method="inverted_cdf") == latency[name]
    assert latency["p99"] is not None
    assert latency["p999"] is None
    assert stream["misses"] == (samples > stream["deadline_ns"]).sum()


def test_cells_do_not_overwrite_each_others_samples(tmp_path: Path) -> None:
    """Runs that differ in any parameter, or only in what came out, keep files of their own."""
    for overlap in (0.0, 0.25, 0.25):
        run({"overlap": overlap, "frames": 30}, samples_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_result_survives_json() -> None:
    """The record is one compact line that the codec reads back as the same noun."""
    result = run({}, clock=FakeTime())
    line = dumps(result)
    assert "\n" not in line
    assert loads(Result, line) == result
    assert result.ts_utc == "2027-01-15T08:00:00.250Z"
    assert result.params["nfft"] == 64
    assert result.params["backend"] == "numpy"
    assert result.backend["name"] == "numpy"
    assert result.backend["version"] == np.__version__
    assert result.dtype == "float32"
    assert result.env["packages"]["numpy"] == np.__version__
    assert result.env["threads"]["OMP_NUM_THREADS"] == "1"
    assert len(result.workload["source_sha256"]) == 64


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_while_frames_are_timed(*, enabled: bool, inject: Inject) -> None:
    """Garbage collection is off in the timed loop, recorded so, and left as it was found."""
    seen: list[bool] = []

    def change(spectra: Array) -> Array:
        seen.append(gc.isenabled())
        return spectra

    inject(change)
    if not enabled:
        gc.disable()
    try:
        result = run({"frames": 100, "warmup": 0})
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert not any(seen[-100:])
    assert result.method["gc"] == "disabled"
    assert result.method["outliers_removed"] == 0


def test_float64_has_its_own_reference_and_floor() -> None:
    """At least 250 dB against the wider type, where the machine has one."""
    result = run({"dtype": "float64"})
    assert result.accuracy is not None
    assert result.accuracy["reference"] == "longdouble"
    assert result.accuracy["threshold"] == 250
    assert result.accuracy["value"] > 280


def test_work_is_counted_by_the_stated_formula() -> None:
    """2 x 4096, magnitude: 0.270 MFLOP and 49 kB per frame, by hand; rates follow from it."""
    result = run({"nfft": 4096, "frames": 30, "warmup": 1})
    assert result.work == {
        "flops": 2 * (122_880 + 4096 + 4 * 2049),
        "bytes": 2 * 4 * (4096 + 2049),
        "items": 1,
        "item_unit": "frame",
        "bytes_h2d": 0,
        "bytes_d2h": 0,
        "launches": 0,
    }
    assert result.rate is not None
    assert result.rate["flop_s"] == pytest.approx(result.rate["items_s"] * 270_344)


def test_a_signal_to_stop_ends_the_work_between_two_calls(inject: Inject) -> None:
    """InterruptedRunError, exit code 75, which says how far it came; the collector is back on."""
    stop = Stop()
    calls = iter(range(10**9))

    def change(spectra: Array) -> Array:
        stop.requested = next(calls) >= 200
        return spectra

    inject(change)
    with pytest.raises(InterruptedRunError, match="interrupted while timing"):
        run({"warmup": 0}, stop=stop)
    assert gc.isenabled()


@pytest.mark.parametrize("stage", ["gate", "warm-up"])
def test_every_stage_can_be_stopped(stage: str) -> None:
    """Not only the timed loop asks."""
    stop = Stop()

    def report(line: str) -> None:
        stop.requested = stop.requested or line.startswith(stage)

    with pytest.raises(InterruptedRunError):
        run({}, stop=stop, report=report)


def test_wall_time_is_that_of_the_blocks_alone() -> None:
    """What happens between two blocks is in neither the wall time nor the latencies."""
    timing = Timing(iter(range(0, 10**9, 5)).__next__, Stop())
    for _ in range(2):
        timing.block(lambda: iter([1]), 3)
    assert list(timing.latencies) == [5] * 6
    assert timing.starts == [0, 3]
    # 1 reading to begin, 2 per call, 1 to end: 7 steps of 5 ns per block
    assert timing.wall_ns == 2 * 7 * 5
    assert timing.last == 1


def test_the_table_says_what_is_missing_and_why(fake_time: FakeTime, inject: Inject) -> None:
    """A percentile that too few samples support shows how many it takes."""
    inject(costing(fake_time, always(8000)))
    text = "\n".join(render(run({"frames": 100}, timer=fake_time)))
    assert "p99                    -  100 samples; it takes 459" in text
    assert "of 100 samples, none removed" in text
    assert "2 channels at 100000 Hz, nfft 64, hop 32" in text


class Doubling(Workload[Any]):
    """The least that a workload is: a vector times two."""

    def setup(self, parameters: Any) -> Prepared:
        del parameters
        self.vector = np.arange(1.0, 9.0, dtype="float32")
        return Prepared(
            backend={"name": "numpy", "version": np.__version__},
            dtype="float32",
            warmup=0,
            samples=50,
            most_samples=50,
            snr_floor_db=120,
        )

    def run(self) -> Iterator[Array]:
        yield 2 * self.vector

    def reference(self) -> Array:
        return 2 * self.vector.astype("float64")

    def work(self) -> Work:
        return Work(flops=8, bytes=64, items=1, item_unit="vector")


def test_any_workload_is_measured_alike() -> None:
    """A plugin gives inputs, run, reference and work; the rest is the runner's."""
    declaration, parameters = registry.find("spectral"), registry.resolved("spectral", {})
    result = measure(declaration, Doubling(), parameters, Setting())
    assert result.status == "ok"
    assert result.latency_ns is not None
    assert result.latency_ns["n"] == 50
    assert result.stream is None
    assert result.work is not None
    assert result.work["item_unit"] == "vector"
    assert "vectors" in "\n".join(render(result))
