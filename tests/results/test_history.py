"""Change points over many results of the same cells."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from flyback.cli.main import main
from flyback.results.compare import open_results
from flyback.results.history import CellHistory, histories
from flyback.spec.jsonlines import append_line
from flyback.spec.result import Result


def write(folder: Path, levels: list[float], **changed: Any) -> Path:
    """A folder with one row a day, 1 % of noise; `machine` of each row, `control` of each."""
    rng = random.Random(len(levels))
    days = list(range(len(levels)))
    for day in reversed(days):  # written in any order, as parallel runs are
        p50 = round(1_000_000 * levels[day] * rng.gauss(1, 0.01))
        machine = changed.get("machine", lambda _: "X")(day)
        control = changed.get("control", lambda _: None)(day)
        row = Result(
            id=f"row{day}",
            ts_utc=f"2026-10-{day + 1:02}T00:00:00Z",
            workload={"name": "w", "version": "1"},
            params={"n": changed.get("n", 1)},
            latency_ns={"p50": p50},
            method={"control": {"p50_ns": control}} if control else {},
            fingerprint={"fields": {"cpu": machine}},
            env={"git_sha": f"{day:040}"},
        )
        append_line(folder / "results.jsonl", row)
    return folder


def of(folder: Path) -> CellHistory:
    """The history of the only cell."""
    (cell,) = histories([open_results(folder)])
    return cell


def test_a_step_is_dated_and_measured(tmp_path: Path) -> None:
    """10 % slower from the 13th of 24 days on: when, with which commit, by how much."""
    cell = of(write(tmp_path, [1.0] * 12 + [1.1] * 12))
    (change,) = cell.changes
    assert (change.row, change.ts_utc[:10]) == ("row12", "2026-10-13")
    assert change.git_sha.endswith("12")
    assert change.ratio == pytest.approx(1.1, rel=0.01)
    assert cell.regressed
    assert of(tmp_path) == cell  # seeded: the same every time


def test_small_steps_and_noise_are_no_changes(tmp_path: Path) -> None:
    """Nothing, and a certain step of 2 %, which is less than the least effect."""
    assert of(write(tmp_path / "a", [1.0] * 24)).changes == ()
    assert of(write(tmp_path / "b", [1.0] * 12 + [1.02] * 12)).changes == ()


def test_a_gain_is_no_regression(tmp_path: Path) -> None:
    """Slower, then quicker than ever: the latest level decides."""
    cell = of(write(tmp_path, [1.0] * 10 + [1.2] * 10 + [0.9] * 10))
    assert [change.ratio > 1 for change in cell.changes] == [True, False]
    assert not cell.regressed


def test_the_control_cell_takes_out_the_machine(tmp_path: Path) -> None:
    """The machine is 20 % slower from a day on, and so is its calibration cell."""
    levels = [1.0] * 12 + [1.2] * 12
    cell = of(write(tmp_path, levels, control=lambda day: 1000 * levels[day]))
    assert (cell.by_control, cell.changes) == (True, ())


def test_other_machines_are_left_out_and_few_rows_say_nothing(tmp_path: Path) -> None:
    """Both are said."""
    cell = of(write(tmp_path, [1.0] * 12, machine=lambda day: "Y" if day < 6 else "X"))
    assert cell.reason == "6 of other machines or versions left out; 6 results; it takes 10"
    assert cell.changes == ()


def compare(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """The command: exit code, answer, what it said beside."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", *words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_the_command_ends_with_5_where_it_became_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`flyback compare --history A B`: a row per change; JSON; the sentences for mistakes."""
    slower = write(tmp_path / "a", [1.0] * 12 + [1.1] * 12)
    steady = write(tmp_path / "b", [1.0] * 12, n=2)
    code, out, err = compare(capsys, "--history", str(slower), str(steady))
    assert code == 5
    assert re.search(r"\+1[01]\.\d%", out)
    assert "no change" in out
    assert "1 of 2 cells became slower" in err
    code, out, _ = compare(capsys, "--history", str(steady), "--json")
    assert (code, json.loads(out)[0]["n"]) == (0, 12)
    assert compare(capsys, "--history")[0] == 2
    code, _, err = compare(capsys, str(slower))
    assert code == 2
    assert "two sides are compared, not 1" in err
