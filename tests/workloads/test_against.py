"""`flyback bench --against`: a cell and its baseline in turns, until the verdict is certain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import planted
import pytest

from flyback import api
from flyback.cli.main import main
from flyback.errors import UserError
from flyback.results.compare import compare, open_results
from flyback.spec.comparison import Comparison
from flyback.spec.jsonlines import read_lines
from flyback.workloads.session import CONTROL, CellSpec, Schedule, Session

HERE = str(Path(__file__).parent)
WORKLOAD = "planted:Planted"
ONCE = ("warmup=2", "samples=5", "--restarts", "1")


@pytest.fixture(autouse=True)
def lane_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes find this package and the planted workload, and so does the command."""
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, HERE]))


def bench(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """The command: exit code, what it printed, what it said beside."""
    with pytest.raises(SystemExit) as ended:
        main(["bench", WORKLOAD, *words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_twice_the_work_is_slower_and_ends_with_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdict with its interval, by pairs; rows of both sides and the comparison are kept."""
    words = ("slower=1.0", "--against", "slower=0.0", *ONCE, "--out", str(tmp_path))
    code, out, err = bench(capsys, *words, "--json")
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["verdict"], cell["method"]) == (5, "slower", "paired")
    assert cell["low"] <= cell["ratio"] <= cell["high"]
    assert cell["ratio"] == pytest.approx(2, rel=0.2)
    assert cell["params"]["slower"] == 1
    assert "1 of 1 cell is slower\n  → baseline: slower=0.0" in err
    (one,) = open_results(tmp_path / "against").results
    (other,) = open_results(tmp_path).results
    assert (one.params["slower"], other.params["slower"]) == (0, 1)
    assert one.method["session"] == other.method["session"]
    (kept,) = read_lines(Comparison, tmp_path / "comparisons.jsonl")
    assert kept.cells[0].ratio == cell["ratio"]


def test_an_environment_variable_brings_another_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name in capitals; each cell has its own baseline, and both folders compare afterwards."""
    text = Path(planted.__file__).read_text()
    (tmp_path / "planted.py").write_text(text.replace("SIZE = 100_000", "SIZE = 200_000"))
    before = os.pathsep.join([str(tmp_path), *sys.path])
    words = ("slower=0,0.5", "--against", f"PYTHONPATH={before}", *ONCE)
    code, out, err = bench(capsys, *words, "--out", str(tmp_path / "out"))
    assert code == 0
    assert out.count("faster") == 2
    assert f"A has PYTHONPATH={before[:20]}" in out.replace("\n", "")
    assert f"files: {tmp_path / 'out'}" in err
    found = compare(open_results(tmp_path / "out" / "against"), open_results(tmp_path / "out"))
    assert [(cell.verdict, cell.method) for cell in found.cells] == [("faster", "paired")] * 2
    assert [cell.params["slower"] for cell in found.cells] == [0, 0.5]


def test_another_version_is_found_from_the_folder_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As documented: the folder that the command runs in has one version, `before` the other."""
    here, before = tmp_path / "here", tmp_path / "here" / "before"
    before.mkdir(parents=True)
    text = Path(planted.__file__).read_text()
    (here / "planted.py").write_text(text)
    (before / "planted.py").write_text(text.replace("SIZE = 100_000", "SIZE = 200_000"))
    monkeypatch.chdir(here)
    installed = [folder for folder in sys.path if folder and folder != HERE]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", *installed]))
    path = os.pathsep.join(["before", *installed])
    code, out, _ = bench(
        capsys, "--against", f"PYTHONPATH={path}", *ONCE, "--out", str(tmp_path / "out"), "--json"
    )
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["verdict"]) == (0, "faster")
    assert cell["ratio"] == pytest.approx(0.5, rel=0.2)


def test_a_baseline_that_fails_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody takes silence for `same`."""
    words = ("--against", "wrong=true", *ONCE, "--out", str(tmp_path))
    code, out, err = bench(capsys, *words)
    assert code == 1
    assert "incomparable" in out
    assert "A is invalid: the correctness gate failed" in err


def test_a_cell_that_fails_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a baseline too; the other cell's row is there."""
    code, out, err = bench(capsys, "wrong=false,true", *ONCE, "--out", str(tmp_path), "--json")
    assert code == 1
    assert [row["status"] for row in json.loads(out)] == ["ok", "invalid"]
    assert "1 of 2 cells has no figures\n  → invalid: the correctness gate failed" in err


def test_what_is_not_ready_in_time_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No layout begins that would outlast `--seconds`."""
    words = ("--against", "slower=0.0", "--seconds", "0.01", *ONCE, "--out", str(tmp_path))
    code, _, err = bench(capsys, *words)
    assert code == 1
    assert "it was not ready within 0.0 s" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--against", "slower"), "--against: 'slower' is no key=value"),
        (("--against", "slowr=1"), "parameters.slowr: there is no such parameter"),
        (("--seconds", "5"), "--seconds goes with --against"),
        (("--least-effect", "0.1"), "--least-effect goes with --against"),
        (("--out", __file__), "this is no folder"),
        (("--out", f"{__file__}/below"), "this is no folder"),
    ],
)
def test_mistakes_end_with_2(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    code, out, err = bench(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_dry_run_says_how_far_it_may_go() -> None:
    """The cells in twos, what the fewest restarts take, and the bound.

    In a process of its own, whose children are the lanes and nobody else.
    """
    words = ("slower=0.5", "--against", "slower=0", "--seconds", "30", *ONCE, "--dry-run")
    command = [sys.executable, "-m", "flyback.cli.main", "bench", WORKLOAD, *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    _, one, other, cost, bound = out.splitlines()
    assert (one, other) == ("cell 1: slower=0.0", "cell 2: slower=0.5")
    assert cost.startswith("2 cells; 1 restart x 8 places in memory x 5 rounds: about 0.")
    assert bound == (
        "where that does not decide: up to 12 restarts, and 30 s for each cell and its baseline"
    )


def test_ctrl_c_ends_with_75(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every verb does; the sentence says where the rest is."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for verb in ("bench", "bench_against"):
        monkeypatch.setattr(api, verb, interrupted)
    for more in ((), ("--against", "slower=0")):
        code, _, err = bench(capsys, *more, "--out", str(tmp_path))
        assert code == 75
        assert f"{tmp_path}: interrupted while measuring" in err


def test_the_calibration_cell_decides_nothing() -> None:
    """Two that are the same are decided, however long the control takes in between."""
    spec = CellSpec(workload=WORKLOAD)
    session = Session([spec, spec, CONTROL], Schedule())
    for number, cell in enumerate(session.measured):
        noise = [(60 if cell.spec is CONTROL else 1) * (i % 2) for i in range(16)]
        cell.layouts = {0: [[1000 + number + extra] for extra in noise]}
    assert session._decided()
    session.measured[1].layouts = session.measured[2].layouts
    assert not session._decided()


def decided(comparisons: int, noise: int) -> bool:
    """Whether 5 % more is decided, of so many comparisons; times vary up to `noise` per mille."""
    spec = CellSpec(workload=WORKLOAD)
    schedule = Schedule(restarts=3, most_restarts=3, comparisons=comparisons)
    session = Session([spec, spec], schedule)
    one, other = session.measured
    one.layouts = {restart: [[10_000]] * 8 for restart in range(3)}
    other.layouts = {
        restart: [[10_500 + 10 * noise * (-1) ** i * (i + 1) // 8] for i in range(8)]
        for restart in range(3)
    }
    return session._decided()


def test_a_change_is_decided_where_it_holds_among_all_comparisons() -> None:
    """Else the correction for many cells would take the verdict back after the session's end."""
    noise = next(each for each in range(1, 100) if not decided(20, each))
    assert decided(1, noise)
    benchmark = api.prepare_bench(WORKLOAD, ["slower=0,1,2", "warmup=2"])
    assert api.prepare_against(benchmark, ["slower=0.5"]).schedule.comparisons == 3


def test_fewer_processes_than_asked_for_decide_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time is up after the first restart, in which one side took twice as long."""
    left = iter([60.0] * (2 + 8))  # two lanes begin, then eight layouts
    monkeypatch.setattr(Session, "_left", lambda _: next(left, 0.0))
    words = ("slower=1.0", "--against", "slower=0.0", "warmup=2", "samples=5", "--restarts", "3")
    code, out, err = bench(capsys, *words, "--out", str(tmp_path))
    assert code == 0
    assert "undecided" in out
    assert "only 1 of 3 restarts took part before time was up" in " ".join(out.split())
    assert "more --seconds or --restarts" in err
    found = compare(open_results(tmp_path), open_results(tmp_path))
    assert [cell.verdict for cell in found.cells] == ["undecided"]


def test_a_workload_of_another_version_is_another_thing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its author said that the figures do not compare."""
    text = Path(planted.__file__).read_text()
    line = '    name = "planted"\n'
    (tmp_path / "planted.py").write_text(text.replace(line, f'{line}    version = "2.0"\n'))
    before = os.pathsep.join([str(tmp_path), *sys.path])
    words = ("--against", f"PYTHONPATH={before}", *ONCE, "--out", str(tmp_path / "out"))
    code, out, err = bench(capsys, *words, "--json")
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["verdict"], cell["ratio"]) == (1, "incomparable", None)
    assert "versions 2.0 and 1.0 of the workload do other things" in err


def test_the_same_in_python(tmp_path: Path) -> None:
    """Cells come in twos; a word that changes nothing is a mistake."""
    benchmark = api.prepare_bench(WORKLOAD, ["slower=0,1", "warmup=2"], restarts=20)
    held = api.prepare_against(benchmark, ["slower=0.5"], seconds=5)
    assert [cell.parameters["slower"] for cell in held.cells] == [0.5, 0, 0.5, 1]
    assert (held.schedule.restarts, held.schedule.most_restarts) == (20, 20)
    with pytest.raises(UserError, match="is no key=value"):
        api.prepare_against(benchmark, ["=1"])
    assert list(tmp_path.iterdir()) == []
