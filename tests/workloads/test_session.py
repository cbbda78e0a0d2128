"""Cells in turns: fresh processes, records, rows for what failed, a prediction that holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from flyback.results.compare import compare, open_results
from flyback.stats.verdict import paired
from flyback.workloads import registry
from flyback.workloads.bench import Benchmark, bench, predicted, prepare
from flyback.workloads.runner import Setting, measure
from flyback.workloads.session import CellSpec, Schedule, Session, ratio_between, turn_of

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
    found = compare(open_results(tmp_path), open_results(tmp_path))
    assert [cell.verdict for cell in found.cells] == ["undecided", "incomparable", "incomparable"]
    assert found.cells[0].ratio == 1
    assert open_results(tmp_path).results == tuple(rows)


def test_the_prediction_holds() -> None:
    """Cells are the combinations of all values; processor time is that of a real start."""
    benchmark = prepare("spectral", {"nfft": [64, 128], "window": ["hann", "blackman"]}, QUICK)
    assert [cell.label for cell in benchmark.cells[:2]] == [
        "nfft=64 window=hann",
        "nfft=64 window=blackman",
    ]
    assert len(benchmark.cells) == 4
    one = Benchmark(cells=(planted(),), schedule=QUICK)
    assert 0 < predicted(one) < 1


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
