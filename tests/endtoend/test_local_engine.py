"""The local engine: the same agent and the same run folder, on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import flyback as product
from flyback.api.wiring import local_home
from flyback.errors import UserError
from flyback.launch.local import is_alive

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "spectral.yaml"
Flyback = Callable[..., subprocess.CompletedProcess[str]]


def _job(folder: Path, script: str, **fields: object) -> Path:
    (folder / "work").mkdir(exist_ok=True)
    (folder / "work" / "job.sh").write_text(script)
    path = folder / "job.json"
    document = {"name": "local", "workdir": "work", "command": ["sh", "job.sh"], **fields}
    path.write_text(json.dumps(document))
    return path


def test_the_python_api_runs_the_example() -> None:
    """`flyback.run(…).wait()`: marker, results, logs, a receipt of nothing, no certificate."""
    run = product.run(EXAMPLE, preset="smoke", engine="local")
    marker = run.wait()
    assert (marker.kind, marker.exit_code) == ("SUCCESS", 0), marker
    (result,) = run.results()
    assert result.status == "ok"
    assert result.accuracy is not None
    assert result.accuracy["value"] >= 120
    assert run.receipt().total_usd == 0
    assert run.certificate() is None
    written = (run.folder / "attempts" / "1" / "log.txt").read_text().splitlines()
    assert list(run.logs()) == written


def test_the_three_modes_run(flyback: Flyback) -> None:
    """Smoke, an override, and a sweep: as many results as cells, each with its parameters."""
    done = flyback(
        "run", EXAMPLE, "--smoke", "--engine", "local", "--json", "nfft=256,512", "channels=1"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert [cell["params"]["nfft"] for cell in told["results"]] == [256, 512]
    assert {cell["params"]["channels"] for cell in told["results"]} == {1}
    assert told["marker"] == "SUCCESS"
    shown = flyback("results", told["run_id"])
    assert shown.returncode == 0
    assert "512" in shown.stdout
    assert "SUCCESS" in flyback("ps").stdout


def test_a_failing_job_has_exit_code_1_and_its_last_lines(flyback: Flyback, tmp_path: Path) -> None:
    """The command line ends with 1 and shows what the job said last."""
    done = flyback("run", _job(tmp_path, "echo it broke >&2; exit 9\n"), "--engine", "local")
    assert done.returncode == 1
    assert "exit code 9" in done.stderr
    assert "it broke" in done.stderr
    assert "Traceback" not in done.stderr


def test_odd_paths_travel(flyback: Flyback, weird_tmp_path: Path) -> None:
    """Spaces, quotes and semicolons in the job's folder and file names do no harm."""
    script = 'cp "it\'s; here.txt" "out; it\'s.txt"\n'
    job = _job(weird_tmp_path, script, outputs=["*.txt"])
    (weird_tmp_path / "work" / "it's; here.txt").write_text("carried")
    done = flyback("run", job, "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout.splitlines()[-1])["run_id"]
    out = local_home() / "runs" / run_id / "attempts" / "1" / "outputs"
    assert [path.name for path in out.iterdir()] == ["out; it's.txt"]  # what was there is no output
    assert (out / "out; it's.txt").read_text() == "carried"


def test_stop_ends_a_run_and_its_job(flyback: Flyback, tmp_path: Path) -> None:
    """`stop` on a job that would go on: the marker says interrupted, no process is left."""
    run = product.run(_job(tmp_path, "echo up; exec tail -f /dev/null\n"), engine="local")
    assert is_alive(local_home(), run.run_id)
    assert "running" in flyback("ps").stdout
    _until_logged(run.folder, "up")
    stopped = flyback("stop", run.run_id)
    assert stopped.returncode == 0, stopped.stderr
    marker = run.marker()
    assert marker is not None
    assert marker.kind == "INTERRUPTED"
    assert not is_alive(local_home(), run.run_id)
    with pytest.raises(UserError, match="not running"):
        product.api.open_run(run.run_id).stop()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_detaches_and_the_run_goes_on(tmp_path: Path) -> None:
    """One Ctrl-C: the command says how to follow and to stop, exits 0, and the job still runs."""
    job = _job(tmp_path, "echo up; exec tail -f /dev/null\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "flyback.cli.main", "run", str(job), "--engine", "local"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "cell-started" in line:
            break
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    run = product.api.open_run()
    assert f"flyback stop {run.run_id}" in told
    assert f"flyback logs -f {run.run_id}" in told
    assert is_alive(local_home(), run.run_id)
    assert run.stop().kind == "INTERRUPTED"


@pytest.mark.usefixtures("ctrl_c")
def test_two_ctrl_c_stop_the_run(tmp_path: Path) -> None:
    """A second Ctrl-C stops the run and waits for its end: exit code 75, nothing alive."""
    job = _job(tmp_path, "echo up; exec tail -f /dev/null\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "flyback.cli.main", "run", str(job), "--engine", "local"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "cell-started" in line:
            process.send_signal(signal.SIGINT)
        if "Ctrl-C again" in line:
            process.send_signal(signal.SIGINT)
            break
    process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 75
    assert not is_alive(local_home(), product.api.open_run().run_id)


def _until_logged(folder: Path, word: str) -> None:
    give_up = time.monotonic() + 30
    log = folder / "attempts" / "1" / "log.txt"
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < give_up, "the job never spoke"
