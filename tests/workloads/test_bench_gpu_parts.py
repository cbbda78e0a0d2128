"""The suite on a device, as far as it goes without one: what is kept, and what is compared."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from flyback.spec.result import Result

SUITE_FILE = Path(__file__).with_name("test_bench_gpu.py")


@pytest.fixture
def suite() -> Any:
    """The benchmark's own module."""
    spec = importlib.util.spec_from_file_location("bench_gpu_under_test", SUITE_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_are_kept_as_they_come(
    suite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end in the middle leaves what was measured before, the part under way included."""

    def interrupted(benchmark: str, out: Path) -> list[Result]:
        out.mkdir(exist_ok=True)
        with (out / "results.jsonl").open("a") as lines:
            lines.write(f"{benchmark}\n")
        if benchmark == "second":
            raise KeyboardInterrupt
        return [Result(workload={"name": benchmark})]

    monkeypatch.setattr(suite, "bench", interrupted)
    monkeypatch.setattr(suite, "prepare_bench", lambda workload, *_, **__: workload)
    kept, told = tmp_path / "devices" / "x.jsonl", []
    parts = [("first", ()), ("second", ()), ("third", ())]
    with pytest.raises(KeyboardInterrupt):
        suite.measured(parts, tmp_path / "out", kept, told.append)
    assert kept.read_text() == "first\nsecond\n"
    assert len(told) == 1


def test_an_engine_that_failed_costs_its_own_figures(suite: Any) -> None:
    """Rows without figures, as failed cells leave them, are no obstacle to the others."""

    def row(name: str, p50: int, p99: int) -> Result:
        params = {**suite.FRAME, "device": "cuda", "wait": "spin"}
        return Result(
            status="ok",
            workload={"name": "spectral"},
            params=params,
            backend={"name": name},
            latency_ns={"p50": p50, "p99": p99},
        )

    failed = Result(status="error", reason="no torch", workload={"name": "spectral"}, params={})
    rows = [row("fused", 20, 30), row("cufft", 50, 60), failed]
    found = suite.compared(rows)
    assert found == {
        "bf16_share": 0.0,
        "fused_us": 0.02,
        "ratio_p50": 2.5,
        "ratio_p99": 2.0,
        "p99_over_p50": 1.5,
    }
    assert suite.compared([failed]) == {"bf16_share": 0.0}


def test_the_device_is_looked_for_in_a_process_of_its_own(suite: Any) -> None:
    """Its name, or one sentence; never both."""
    name, reason = suite.look_for_device()
    assert bool(name) != bool(reason)
