"""Comparing two sets of results: verdicts, refusals, and rows that are not what they say."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from flyback.cli.main import main
from flyback.errors import UserError
from flyback.results.compare import compare, open_results, unlike
from flyback.results.comparison_view import comparison_view
from flyback.results.samples import read_samples
from flyback.spec.comparison import CellComparison, Comparison
from flyback.spec.jsonlines import append_line
from flyback.spec.result import Result
from flyback.stats.quantiles import summarize

FIELDS = {"cpu": "X", "packages": {"numpy": "2.4.6"}, "threads": {"OMP_NUM_THREADS": None}}


def write(
    folder: Path, *, factor: float = 1.0, seed: int = 0, cells: int = 1, **changed: Any
) -> Path:
    """Results as `bench` writes them: in turns, three restarts of eight layouts."""
    rng = random.Random(seed)
    for cell in range(cells):
        places = [(restart, layout) for restart in range(3) for layout in range(8)]
        rows = [
            (round(100_000 * factor * (1 + abs(rng.gauss(0, 0.01)))), *place)
            for place in places
            for _ in range(20)
        ]
        values, restarts, layouts = (
            np.array(column, np.int64) for column in zip(*rows, strict=True)
        )
        arrays = {"latency_ns": values, "restart": restarts, "layout": layouts}
        if changed.get("control"):
            arrays["control_ns"] = (50_000 * changed["control"] * np.ones(60)).astype(np.int64)
        file = folder / "samples" / f"{cell}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **arrays)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        row = Result(
            cell=cell,
            workload={"name": "w", "version": "1"},
            params={"n": cell},
            latency_ns=summarize(values.tolist()),
            samples={"file": file.name, "sha256": sha256},
            method={"session": changed.get("session", "s")},
            fingerprint={"fields": changed.get("fields", FIELDS)},
        )
        append_line(folder / "results.jsonl", row)
    return folder


def verdict(a: Path, b: Path, **options: Any) -> Any:
    """The only cell of a comparison."""
    (cell,) = compare(open_results(a), open_results(b), **options).cells
    return cell


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, "same"), (1.01, "same"), (1.06, "slower"), (0.94, "faster")]
)
def test_rows_measured_in_turns_are_paired(tmp_path: Path, factor: float, expected: str) -> None:
    """The verdict, the ratio, and that it was by pairs."""
    cell = verdict(write(tmp_path / "a"), write(tmp_path / "b", factor=factor, seed=1))
    assert (cell.verdict, cell.method) == (expected, "paired")
    assert cell.ratio == pytest.approx(factor, rel=0.01)
    assert cell.low <= cell.ratio <= cell.high


def test_apart_the_control_cell_takes_out_the_machine(tmp_path: Path) -> None:
    """20 % slower, as its control is: the same. Without a control the row says so."""
    a = write(tmp_path / "a", session="1", control=1.0)
    b = write(tmp_path / "b", factor=1.2, session="2", control=1.2)
    cell = verdict(a, b)
    assert (cell.verdict, cell.method) == ("same", "control")
    bare = verdict(write(tmp_path / "c", session="1"), write(tmp_path / "d", session="2"))
    assert (bare.method, bare.reason) == ("direct", "no control cell")


def test_unlike_fingerprints_are_refused_by_the_name_of_the_field(tmp_path: Path) -> None:
    """The sentence has the field, both values and the way round; `across` is that way."""
    other = {**FIELDS, "packages": {"numpy": "2.5.0"}}
    a, b = write(tmp_path / "a"), write(tmp_path / "b", fields=other)
    with pytest.raises(UserError) as caught:
        verdict(a, b)
    assert str(caught.value) == (
        "fingerprint: not like for like: packages.numpy is '2.4.6' in A and '2.5.0' in B\n"
        "  → measure both in one place, or compare all the same with --across packages.numpy"
    )
    assert verdict(a, b, across=["packages.numpy"]).verdict == "same"
    assert verdict(a, b, across=["packages"]).verdict == "same"
    assert unlike(FIELDS, other) == ["packages.numpy"]


def test_a_missing_row_is_a_row(tmp_path: Path) -> None:
    """A cell of one side only is listed, with the side that lacks it."""
    found = compare(
        open_results(write(tmp_path / "a", cells=2)), open_results(write(tmp_path / "b"))
    )
    assert [cell.verdict for cell in found.cells] == ["same", "missing"]
    assert found.cells[1].reason == "B has no such cell"


def test_cells_are_told_apart_by_what_varies_within_their_workload() -> None:
    """A parameter of another workload is none of theirs."""
    cells = [
        CellComparison(workload="w", params={"n": 1, "k": 3}, verdict="same"),
        CellComparison(workload="w", params={"n": 2, "k": 3}, verdict="same"),
        CellComparison(workload="v", params={"size": 7}, verdict="missing", reason="no row"),
    ]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    found = Comparison(a="a", b="b", least_effect=0.03, confidence=0.99, cells=tuple(cells))
    console.print(comparison_view(found))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert [name in text for name in ("w n=1 ", "w n=2 ", "v: no row", "None", "k=3")] == [
        *[True] * 3,
        *[False] * 2,
    ]


def change(folder: Path, **fields: Any) -> None:
    """Forge the last row."""
    path = folder / "results.jsonl"
    *others, last = open_results(folder).results
    path.unlink()
    for row in (*others, dataclasses.replace(last, **fields)):
        append_line(path, row)


def test_a_row_with_figures_of_another_is_refused(tmp_path: Path) -> None:
    """The second row bears the first one's median: its own samples contradict."""
    folder = write(tmp_path / "a", cells=2)
    first, _ = open_results(folder).results
    change(folder, latency_ns=first.latency_ns)
    with pytest.raises(UserError, match="cell 1 says min"):
        compare(open_results(folder), open_results(folder))


def test_two_rows_of_one_measurement_are_refused(tmp_path: Path) -> None:
    """Samples and all: one of the rows was never measured."""
    folder = write(tmp_path / "a", cells=2)
    first, _ = open_results(folder).results
    change(folder, latency_ns=first.latency_ns, samples=first.samples)
    with pytest.raises(UserError, match="cells 0 and 1 claim the same samples"):
        open_results(folder)


def test_a_trimmed_percentile_is_refused(tmp_path: Path) -> None:
    """A p99 after the removal of outliers is not that of the samples."""
    folder = write(tmp_path / "a")
    (row,) = open_results(folder).results
    assert row.latency_ns is not None
    change(folder, latency_ns={**row.latency_ns, "p99": row.latency_ns["p99"] - 500})
    with pytest.raises(UserError, match="says p99"):
        verdict(folder, folder)


def test_damaged_samples_are_refused(tmp_path: Path) -> None:
    """Another content than the record's hash; no zip; missing."""
    folder = write(tmp_path / "a")
    file = folder / "samples" / "0.npz"
    with pytest.raises(UserError, match="not the samples that the record"):
        read_samples(file, "0" * 64)
    file.write_bytes(b"no zip")
    with pytest.raises(UserError, match="damaged"):
        read_samples(file)
    file.unlink()
    with pytest.raises(UserError, match="can't be read"):
        verdict(folder, folder)


def test_samples_are_read_without_numpy(tmp_path: Path) -> None:
    """The same numbers as NumPy reads."""
    values = np.array([1, -(2**62), 2**62], np.int64)
    np.savez(tmp_path / "x.npz", latency_ns=values)
    assert list(read_samples(tmp_path / "x.npz")["latency_ns"]) == values.tolist()


def test_a_cell_that_failed_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was measured before and is wrong now is no success, though nothing is slower."""
    a, b = write(tmp_path / "a", cells=2), write(tmp_path / "b", cells=2)
    change(b, status="invalid", reason="the gate failed", latency_ns=None, samples=None)
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(a), str(b)])
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert "incomparable" in out
    assert "1 of 2 cells can't be compared\n  → B is invalid: the gate failed" in err


def compared(capsys: pytest.CaptureFixture[str], a: Path, b: Path) -> tuple[object, str]:
    """`flyback compare`: its exit code, and what it said beside."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(a), str(b)])
    return ended.value.code, capsys.readouterr().err


def test_what_both_sides_skipped_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CUDA cell on two machines without a GPU; where only one lacks it, it is one."""
    a, b = write(tmp_path / "a", cells=2), write(tmp_path / "b", cells=2, seed=1)
    none = {"status": "skipped", "reason": "no CUDA device", "latency_ns": None, "samples": None}
    change(b, **none)
    assert compared(capsys, a, b)[0] == 1
    change(a, **none)
    assert compared(capsys, a, b)[0] == 0


def test_a_cell_that_was_lost_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B lacks one that A has; one that only B has is new."""
    a, b = write(tmp_path / "a", cells=2), write(tmp_path / "b", seed=1)
    code, err = compared(capsys, a, b)
    assert code == 1
    assert "1 of 2 cells can't be compared\n  → B has no such cell" in err
    assert compared(capsys, b, a)[0] == 0


def test_a_regression_ends_with_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`flyback compare`: table, verdict, exit code for CI; 0 where nothing is slower."""
    a, b = write(tmp_path / "a", cells=2), write(tmp_path / "b", factor=1.1, seed=2, cells=2)
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(a), str(b)])
    out, err = capsys.readouterr()
    assert ended.value.code == 5
    assert out.count("slower") == 2
    assert "2 of 2 cells are slower" in err
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(b), str(a), "--json"])
    assert ended.value.code == 0
    assert '"faster"' in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(a), str(tmp_path / "none")])
    assert ended.value.code == 2
