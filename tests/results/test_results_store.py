from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flyback.errors import UserError
from flyback.results.store import load_run, stored_runs
from flyback.spec.codec import dumps, write_json
from flyback.spec.event import Marker
from flyback.spec.result import Result

Make = Callable[..., Result]


def keep(home: Path, run_id: str, *results: Result, at: float | None = None) -> Path:
    """Put a run into a home folder."""
    folder = home / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(f"{dumps(result)}\n" for result in results))
    if at is not None:
        marker = Marker(
            run_id=run_id,
            attempt=1,
            kind="SUCCESS",
            exit_code=0,
            reason="ok",
            log_tail="",
            at=at,
        )
        write_json(folder / "marker.json", marker)
    return folder


def test_a_run_is_read_whole(weird_tmp_path: Path, result: Make) -> None:
    """Every file that is there, results in cell order, and None for what is not."""
    keep(weird_tmp_path, "spectral-1", result(1), result(0), at=5.0)
    run = load_run(weird_tmp_path, "spectral-1")
    assert [found.cell for found in run.results] == [0, 1]
    assert run.marker is not None
    assert run.marker.kind == "SUCCESS"
    assert (run.job, run.plan, run.receipt, run.certificate) == (None, None, None, None)
    assert run.problems == ()


def test_runs_without_an_end_come_first_then_the_latest(tmp_path: Path) -> None:
    """What is going on stands on top."""
    keep(tmp_path, "old", at=1.0)
    keep(tmp_path, "new", at=2.0)
    keep(tmp_path, "going")
    assert [run.run_id for run in stored_runs(tmp_path)] == ["going", "new", "old"]


def test_a_home_without_runs_has_none(tmp_path: Path) -> None:
    """And foreign folders are not taken for runs."""
    assert stored_runs(tmp_path) == ()
    (tmp_path / "runs" / "Not A Run").mkdir(parents=True)
    (tmp_path / "runs" / "file").write_text("")
    assert stored_runs(tmp_path) == ()


def test_a_torn_line_is_told_and_the_others_are_read(tmp_path: Path, result: Make) -> None:
    """A run that was cut off keeps what it has."""
    folder = keep(tmp_path, "torn", result(0), result(1))
    whole = (folder / "results.jsonl").read_text()
    (folder / "results.jsonl").write_text(whole[:-20])
    (folder / "receipt.json").write_text('{"run_id": 1}')
    run = load_run(tmp_path, "torn")
    assert [found.cell for found in run.results] == [0]
    assert run.receipt is None
    assert [problem.split(":")[0].rsplit("/", 1)[1] for problem in run.problems] == [
        "results.jsonl",
        "receipt.json",
    ]


@pytest.mark.parametrize("name", ["gone", "../etc", "", "UPPER"])
def test_a_run_that_is_not_there(tmp_path: Path, name: str) -> None:
    """A sentence, and never a path outside the home."""
    with pytest.raises(UserError) as error:
        load_run(tmp_path, name)
    assert str(error.value) == f"{tmp_path}/runs: no run {name!r}\n  → `flyback ps` lists runs"
