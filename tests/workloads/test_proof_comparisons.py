"""Verdicts on a loaded machine: never wrong about equal code, never blind to 5 %."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flyback import api

Sweep = Callable[[Sequence[int]], list[int]]
HERE = str(Path(__file__).parent)
PLANTED, CONTROL = "planted:Planted", "flyback.workloads.control:Control"
SECONDS = 19.0
MOST_SECONDS = 20
LEAST_FOUND_PCT = 95
MOST_UNDECIDED_PCT = 10


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Another process that wants a processor all the time, as long as this one lives."""
    loop = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    with subprocess.Popen([sys.executable, "-c", loop]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def lane_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes find this package and the planted workload, and so does what starts them."""
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", ":".join([*sys.path, HERE]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def compare(folder: Path, seed: int, workload: str, words: str, against: str) -> tuple[str, float]:
    """The verdict of `flyback bench WORKLOAD WORDS --against AGAINST`, and how long it took, s.

    The same calls as the command makes: calibration cell, fewest restarts and corrections included.
    """
    began = time.perf_counter()
    benchmark = api.prepare_against(
        api.prepare_bench(workload, [words]), [against], seconds=SECONDS
    )
    schedule = dataclasses.replace(benchmark.schedule, seed=seed)
    found = api.bench_against(dataclasses.replace(benchmark, schedule=schedule), folder / f"{seed}")
    (cell,) = found.cells
    assert not cell.failed, cell.reason
    return cell.verdict, time.perf_counter() - began


@pytest.mark.proof
@pytest.mark.unsettled
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("lane_path")
def test_proof_aa(sweep: Sweep, tmp_path: Path) -> None:
    """The same code twice: no verdict but `same`, and seldom none."""
    cells = ((PLANTED, "slower=0.0"), (PLANTED, "slower=0.0"), (CONTROL, "seed=0"))
    with neighbour():
        found = []
        for i in sweep(range(300)):
            workload, words = cells[i % 3]
            found.append(compare(tmp_path, i, workload, words, words))
    verdicts = [verdict for verdict, _ in found]
    false = sum(verdict in ("faster", "slower") for verdict in verdicts)
    undecided = 100 * verdicts.count("undecided") / len(verdicts)
    slowest = max(seconds for _, seconds in found)
    print(
        f"PROOF aa trials={len(found)} false={false} undecided_pct={undecided:.1f} "
        f"most_s={slowest:.1f}"
    )
    assert false == 0
    assert undecided <= MOST_UNDECIDED_PCT
    assert slowest <= MOST_SECONDS


@pytest.mark.proof
@pytest.mark.unsettled
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("lane_path")
def test_proof_ab(sweep: Sweep, tmp_path: Path) -> None:
    """5 % more work on one side, now A, now B: found, and on the right side."""
    trials = sweep(range(100))
    found, slowest = 0, 0.0
    with neighbour():
        for i in trials:
            quick, slow = "slower=0.0", "slower=0.05"
            a, b = (quick, slow) if i % 2 else (slow, quick)
            verdict, seconds = compare(tmp_path, i, PLANTED, b, a)
            found += verdict == ("slower" if i % 2 else "faster")
            slowest = max(slowest, seconds)
    pct = 100 * found / len(trials)
    print(f"PROOF ab planted_pct=5 found_pct={pct:.1f} trials={len(trials)} most_s={slowest:.1f}")
    assert pct >= LEAST_FOUND_PCT
    assert slowest <= MOST_SECONDS
