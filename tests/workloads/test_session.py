"""Cells in turns: fresh processes, records, rows for what failed, a prediction that holds."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flyback.api.benching import prepare_bench
from flyback.results.compare import compare, open_results
from flyback.stats.verdict import paired
from flyback.workloads import registry
from flyback.workloads.bench import Benchmark, bench, prepare, row_of
from flyback.workloads.runner import Setting, measure
from flyback.workloads.session import (
    CellSpec,
    Measured,
    Schedule,
    Session,
    ratio_between,
    turn_of,
)

QUICK = Schedule(restarts=1, layouts=2, rounds=2, adaptive=False)


@pytest.fixture(autouse=True)
def lane_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes find this package and the planted workload."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(Path(__file__).parent)]))


def planted(**values: Any) -> CellSpec:
    """A cell of the planted workload."""
    return CellSpec(workload="planted:Planted", parameters={"warmup": 2, **values})


def test_cells_take_turns_and_the_larger_one_is_slower() -> None:
    """Twice the work takes twice the time, in every layout of every restart."""
    schedule = Schedule(restarts=1, layouts=8, rounds=2, most_restarts=1)
    a, b = Session([planted(), planted(slower=1.0)], schedule).run()
    ratio = ratio_between(a, b)
    assert ratio.verdict == "slower"
    assert ratio.value == pytest.approx(2, rel=0.2)
    assert [len(layouts) for layouts in a.layouts.values()] == [8]


def test_a_folder_is_written_and_a_failed_cell_has_its_row(tmp_path: Path) -> None:
    """Wrong results have no figures; the others do, with samples that agree with them."""
    cells = (planted(), planted(wrong=True), planted(slower=-2.0))
    lines: list[str] = []
    rows = bench(Benchmark(cells=cells, schedule=QUICK), tmp_path, report=lines.append)
    assert [row.status for row in rows] == ["ok", "invalid", "error"]
    assert [row.latency_ns is None for row in rows] == [False, True, True]
    assert rows[1].reason.startswith("the correctness gate failed")
    assert rows[0].method["restarts"] == 1
    assert rows[0].method["layouts"] == [2]
    assert rows[0].method["control"]["n"] > 0  # what a history is measured in
    assert rows[0].method["control"]["p50_ns"] > 0
    found = compare(open_results(tmp_path), open_results(tmp_path))
    assert [cell.verdict for cell in found.cells] == ["undecided", "incomparable", "incomparable"]
    assert found.cells[0].ratio == 1
    assert open_results(tmp_path).results == tuple(rows)


def test_cells_are_the_combinations_of_all_values() -> None:
    """With every parameter resolved, and named by what varies."""
    benchmark = prepare("spectral", {"nfft": [64, 128], "window": ["hann", "blackman"]}, QUICK)
    assert [cell.label for cell in benchmark.cells[:2]] == [
        "nfft=64 window=hann",
        "nfft=64 window=blackman",
    ]
    assert len(benchmark.cells) == 4
    assert benchmark.cells[0].parameters["overlap"] == 0.5


def children_s() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.extended
@pytest.mark.parametrize(
    ("workload", "words"),
    [("spectral", ["nfft=1024,4096", "frames=600"]), ("matmul", ["n=256"])],
)
def test_a_dry_run_predicts_the_processor_time(
    workload: str, words: list[str], tmp_path: Path
) -> None:
    """`flyback bench --dry-run` is within 30 % of what the same command then takes."""
    command = [sys.executable, "-m", "flyback.cli.main", "bench", workload, *words]
    dry = [*command, "--dry-run", "--usd-per-hour", "6", "--json"]
    said = json.loads(subprocess.run(dry, check=True, capture_output=True).stdout)
    assert said["usd"] == pytest.approx(said["cpu_minutes"] / 10)
    before = children_s()
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, capture_output=True)
    assert said["cpu_minutes"] * 60 == pytest.approx(children_s() - before, rel=0.3)


def test_a_dry_run_shows_the_resolved_configuration() -> None:
    """What all cells share, what each has of its own, time and price; in words for one and two.

    In a process of its own, whose children are the lanes and nobody else.
    """
    words = ["bench", "matmul", "n=8,16", "samples=5", "--restarts", "1", "--dry-run"]
    command = [sys.executable, "-m", "flyback.cli.main", *words]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    shared, one, other, last = shown.splitlines()
    expected = "matmul device=cpu samples=5 warmup=3 seed=0 dtype=float32 backend=auto"
    assert shared == f"{expected} timed=product"
    assert (one, other) == ("cell 1: n=8", "cell 2: n=16")
    assert re.fullmatch(
        r"2 cells; 1 restart x 8 places in memory x 5 rounds: about 0\.\d\d CPU-minutes, "
        r"n/a without --usd-per-hour",
        last,
    )


def test_an_adaptive_session_ends_in_time() -> None:
    """Lanes that are late for another restart are given up; for the first one they have failed."""
    schedule = Schedule(restarts=1, layouts=2, rounds=1, most_restarts=50, seconds=3.0)
    began = time.perf_counter()
    once = dataclasses.replace(schedule, most_restarts=1)
    Session([planted(), planted(slower=0.03)], once).run()
    restart_s, began = time.perf_counter() - began, time.perf_counter()
    a, b = Session([planted(), planted(slower=0.03)], schedule).run()
    assert time.perf_counter() - began < schedule.seconds + 3 * restart_s
    assert (a.status, b.status) == ("ok", "ok")
    assert 1 <= len(a.results) < 50
    assert list(a.layouts) == list(b.layouts)
    late, _ = Session([planted(), planted()], dataclasses.replace(schedule, seconds=0.0)).run()
    assert (late.status, late.failure) == ("error", "it was not ready within 0.0 s")


def test_the_fewest_restarts_share_the_time() -> None:
    """A slow first one leaves the others theirs: a verdict needs them more than many layouts."""
    schedule = Schedule(restarts=3, layouts=10_000, rounds=1, most_restarts=3, seconds=12.0)
    a, b = Session([planted(), planted()], schedule).run()
    assert len(a.layouts) == len(b.layouts) == 3
    assert all(each[0] for each in a.layouts.values())


@pytest.mark.parametrize(
    ("typical_ns", "turn"), [(10_000, (50, 2)), (250_000, (4, 2)), (5_000_000, (1, 0))]
)
def test_a_turn_lasts_a_millisecond(typical_ns: int, turn: tuple[int, int]) -> None:
    """Many short samples, or one long one."""
    assert turn_of(typical_ns, 1_000_000) == turn


def test_nothing_measured_is_no_ratio() -> None:
    """An empty session has no verdict to give."""
    with pytest.raises(ValueError, match="no values"):
        paired({})


def test_an_open_loop_stays_one_in_turns(tmp_path: Path) -> None:
    """Turns of ten arrivals; the row counts misses and margins over all restarts, not the last."""
    words = ["nfft=64", "warmup=1", "arrival=open", "fs_hz=64000", "deadline_us=0.001"]
    schedule = dataclasses.replace(QUICK, restarts=2)
    benchmark = dataclasses.replace(prepare_bench("spectral", words), schedule=schedule)
    (row,) = bench(benchmark, tmp_path)
    assert row.status == "ok", row.reason
    assert row.latency_ns is not None
    assert row.stream is not None
    assert row.latency_ns["n"] == 2 * 2 * 2 * 2 * 10  # restarts, layouts, rounds, twice, arrivals
    assert row.stream["misses"] == row.stream["frames"] == row.latency_ns["n"]
    assert row.method["schedule"].startswith("open loop")
    assert row.method["schedule"].endswith("; in turns with the other cells of the session")
    assert row.stream["margin_p50"] == pytest.approx(500_000 / row.latency_ns["p50"])
    assert row.rate is not None
    assert row.rate["items_s"] < 1.2 * 2000  # no more than arrive


def test_the_row_of_all_restarts_has_their_own_limit(tmp_path: Path) -> None:
    """Efficiency is the bound over the median of all; too good in that one is suspect."""
    (row,) = bench(prepare("matmul", {"n": [64]}, QUICK), tmp_path)
    assert row.roofline is not None
    assert row.latency_ns is not None
    bound, p50 = row.roofline["bound_ns"], row.latency_ns["p50"]
    assert row.roofline["efficiency"] == pytest.approx(bound / p50, abs=1e-4)
    spec = CellSpec(workload="matmul")
    layouts = {restart: [[round(bound / 2)] * 40] for restart in range(2)}
    contended = dataclasses.replace(row, health={"verdict": "contended"})
    quick = Measured(spec=spec, layouts=layouts, results=[contended, row])
    found = row_of(quick, quick, "s", tmp_path)
    assert (found.status, found.health["verdict"]) == ("suspect", "contended")
    assert found.reason.startswith("quicker than the machine's limit")


def test_an_open_loop_counts_from_the_arrival() -> None:
    """A period of half a millisecond: 40 frames take 20 ms, however quick each is."""
    declaration = registry.find("spectral")
    values = {"nfft": 64, "frames": 40, "warmup": 1, "arrival": "open", "fs_hz": 64_000}
    parameters = registry.resolved("spectral", values)
    result = measure(declaration, registry.create(declaration), parameters, Setting())
    assert result.stream is not None
    assert result.method["period_ns"] == 500_000
    assert result.method["wall_ns"] > 39 * 500_000
    assert result.stream["backlog_max"] >= 0
    assert result.method["schedule"].startswith("open loop")
