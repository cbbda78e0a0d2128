"""Two devices beside each other: ratios, intervals, missing rows, and from where on one wins."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flyback.cli.main import main
from flyback.results.compare import Measured
from flyback.results.crossover import Between, Pair, crossovers, pairs
from flyback.results.crossover_view import said
from flyback.spec.result import Result
from flyback.stats.quantiles import summarize


def row(device: str, n: int, p50: int, **changed: object) -> Result:
    """A result of so many nanoseconds."""
    fields = {
        "workload": {"name": "matmul"},
        "params": {"n": n, "device": device},
        "latency_ns": {"p50": p50, "p50_ci": [p50 * 0.99, p50 * 1.01]},
        "rate": {"items_s": 1e9 / p50},
        "accuracy": {"value": 120.0},
    }
    return Result(**{**fields, **changed})  # type: ignore[arg-type]  # as its fields


def paired(
    rows: list[Result], a_usd: float | None = None, b_usd: float | None = None
) -> list[Pair]:
    """CPU beside GPU, at these prices per hour."""
    between = Between(a_usd_hour=a_usd, b_usd_hour=b_usd)
    return pairs(Measured(Path("results.jsonl"), tuple(rows), ()), between)


def test_ratios_are_turned_so_that_the_gpu_wins_above_one() -> None:
    """Ten times quicker on a machine of twice the price: five times the results per dollar."""
    (pair,) = paired([row("cpu", 64, 1000), row("cuda", 64, 100)], 1.0, 2.0)
    assert pair.latency == pytest.approx(10)
    assert pair.throughput == pytest.approx(10)
    assert pair.dollars == pytest.approx(5)
    assert pair.a_usd == pytest.approx(1 / 3600 * 1000e-9)
    assert pair.interval is not None
    assert pair.interval[0] < 10 < pair.interval[1]
    assert pair.agreement_db == pytest.approx(114, abs=0.1)  # two errors of -120 dB may add up


def test_missing_and_failed_rows_are_explicit() -> None:
    """No ratio, and why."""
    failed = row("cuda", 2, 1, status="skipped", reason="no CUDA device", latency_ns=None)
    one, two = paired([row("cpu", 1, 10), row("cpu", 2, 10), failed])
    assert (one.latency, one.reason) == (None, "no row for device=cuda")
    assert (two.latency, two.reason) == (None, "device=cuda: skipped: no CUDA device")
    assert (two.a_p50_ns, two.b_p50_ns) == (10, None)


def test_the_crossover_is_where_the_gpu_wins_for_good() -> None:
    """One lucky small size is none; where it never wins there is none."""
    cpu = [row("cpu", n, 100 * n) for n in (1, 2, 4, 8)]
    gpu = [row("cuda", n, p50) for n, p50 in zip((1, 2, 4, 8), (90, 500, 300, 300), strict=True)]
    answers = crossovers(paired([*cpu, *gpu], 1.0, 3.0), "n")
    assert {each.metric: each.at for each in answers} == {
        "latency": 4,
        "throughput": 4,
        "dollars": None,
    }
    assert said(answers[0], Between()) == "latency: device=cuda wins from n=4 on"
    assert said(answers[2], Between()) == "dollars: device=cuda never wins up to n=8"


def test_a_win_in_latency_needs_the_whole_interval() -> None:
    """2 % quicker with bounds of 1 % on each side: not certain."""
    answers = crossovers(paired([row("cpu", 1, 1010), row("cuda", 1, 1000)]), "n")
    assert {each.metric: each.at for each in answers} == {"latency": None, "throughput": 1}


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> str:
    """A workload with two devices: one computes at once, the other starts slowly and is quicker."""
    folder = str(Path(__file__).parents[1] / "workloads")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *sys.path]))
    return "planted:Standin"


def crossover(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, Any, str]:
    """The command: exit code, what it printed, what it said beside."""
    with pytest.raises(SystemExit) as ended:
        main(["crossover", *words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_one_command_finds_it(
    standin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """10 n against 100 + n units of work: the far device wins from n = 12 on.

    Measured in turns, so that intervals are of pairs. At four times the price its 3.2 fold speed at
    n = 48 does not pay, its 6.6 fold speed at n = 192 does. On a busy machine
    means are uncertain, so that a win in them may be missed; none is invented.
    """
    sizes = ("n=6,48,192", "warmup=2", "samples=5", "--between", "place=near,far")
    out = ("--restarts", "1", "--out", str(tmp_path), "--json")
    code, said, _ = crossover(capsys, standin, *sizes, "--usd-per-hour", "1", "4", *out)
    found = json.loads(said)
    assert code == 0
    assert [each["params"]["n"] for each in found["pairs"]] == [6, 48, 192]
    for each, expected in zip(found["pairs"], (60 / 106, 480 / 148, 1920 / 292), strict=True):
        assert each["latency"] == pytest.approx(expected, rel=0.3)
        assert each["interval"][0] <= each["latency"] <= each["interval"][1]
        assert each["agreement_db"] > 190
    wins = {each["metric"]: each["at"] for each in found["crossovers"]}
    assert wins["latency"] == 48
    assert wins["throughput"] in (48, 192, None)
    assert wins["dollars"] in (192, None)


def test_a_device_that_is_not_there_ends_with_1(
    standin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has its row and its reason; nobody takes it for a result."""
    words = ("n=1", "warmup=0", "samples=1", "--between", "place=near,nowhere", "--restarts", "1")
    code, out, err = crossover(capsys, standin, *words, "--out", str(tmp_path))
    assert code == 1
    assert "place=nowhere: skipped" in out
    assert "n/a" in out
    assert "1 of 1 have no ratio" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--between", "device=cpu"), "is no key=a,b"),
        (("n=1,2", "--between", "place=near,far", "--along", "seed"), "seed is no number that"),
    ],
)
def test_mistakes_get_their_sentence(
    standin: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    """Before anything is measured."""
    code, _, err = crossover(capsys, standin, *words)
    assert code == 2
    assert sentence in err


def in_turns(folder: Path, b_ns: int, *, spike_ns: int = 0) -> Pair:
    """CPU at 1,000 ns beside CUDA, ten layouts each; one call on the CPU may be slow."""
    rows = []
    for device, level, spike in (("cpu", 1000, spike_ns), ("cuda", b_ns, 0)):
        values = np.array([level + number % 3 for number in range(80)], np.int64)
        values[7] += spike
        places = np.arange(80) // 8
        file = folder / f"{device}.npz"
        np.savez(file, latency_ns=values, restart=places // 5, layout=places % 5)
        samples = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        rows.append(
            row(
                device,
                1,
                level,
                samples=samples,
                latency_ns=summarize(values.tolist()),
                rate={"items_s": 80e9 / int(values.sum())},
                method={"session": "s"},
                work={"items": 2, "item_unit": "frame"},
            )
        )
    (pair,) = pairs(Measured(folder / "r", tuple(rows), (folder,)), Between())
    return pair


def test_one_slow_call_is_no_win_in_throughput(tmp_path: Path) -> None:
    """The mean of one side doubles by a single call; the middle of ten pairs does not."""
    pair = in_turns(tmp_path, 1000, spike_ns=80_000)
    assert pair.throughput == pytest.approx(1, rel=0.05)
    assert pair.throughput_interval is not None
    assert pair.throughput_interval[0] <= 1
    assert {each.metric: each.at for each in crossovers([pair], "n")}["throughput"] is None


def test_a_win_in_throughput_has_its_interval(tmp_path: Path) -> None:
    """Twice as quick in every pair; money says the same where both cost the same."""
    pair = in_turns(tmp_path, 500)
    assert pair.throughput_interval is not None
    assert 1.9 < pair.throughput_interval[0] <= (pair.throughput or 0) < 2.1
    assert {each.metric: each.at for each in crossovers([pair], "n")}["throughput"] == 1
