"""Launches that were cut off between the stored request and its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flyback.api import doctor, open_run
from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.api.wiring import local_home
from flyback.errors import UserError
from flyback.launch.progress import silent
from flyback.spec.codec import read_json
from flyback.spec.launch import Launch

OPTIONS = Options(cloud="rehearsal")


def _flyback(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flyback.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )


def _killed_at(word: str, *words: str | Path) -> str:
    """Run a command and kill it where it says `word`; what it had said."""
    said = []
    with _flyback(*words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if word in line:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL, "".join(said)
    return "".join(said)


def _done(*words: str | Path) -> tuple[int, str]:
    with _flyback(*words) as process:
        said, _ = process.communicate(timeout=200)
    return process.returncode, said


@contextmanager
def _served() -> Iterator[None]:
    with _flyback("rehearsal", "serve", "--speed", "1") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "FLYBACK_CLOCK_URL" in line:
                break
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of one harmless command."""
    path = tmp_path / "job.json"
    path.write_text('{"name": "small", "command": ["true"], "engine": "ec2"}')
    return path


def _outcomes(said: str) -> dict[str, str]:
    return {item["topic"]: item["outcome"] for item in json.loads(said.splitlines()[-1])}


@pytest.mark.extended  # twenty seconds; the sweep cuts in-process
def test_real_kills_are_healed_by_the_same_command(job: Path) -> None:
    """SIGKILL in the middle of `up`, `run` and `down`; doctor and status tell how things stand."""
    where = ("--cloud", "rehearsal")
    with _served():
        code, said = _done("doctor", *where, "--json")
        assert code == 2, said
        found = _outcomes(said)
        assert (found["credentials"], found["clock"], found["image"]) == ("pass",) * 3, found
        assert found["stack"] == "fail"
        _killed_at("creating the stack", "up", *where)
        _killed_at("CREATE_COMPLETE", "up", *where)
        assert _done("up", *where)[0] == 0
        found = _outcomes(_done("doctor", *where, "--json")[1])
        assert (found["stack"], found["spot role"]) == ("pass", "pass")
        _killed_at("launch  i-", "run", job, *where, "--run-id", "killed")
        code, said = _done("status", "killed", "--json")
        assert code == 0, said
        status = json.loads(said.splitlines()[-1])
        assert (status["state"], status["health"]) in {("running", "booting"), ("SUCCESS", "ended")}
        assert status["usd"] is not None
        code, said = _done("attach", "killed", "--json")
        assert code == 0, said
        assert json.loads(said.splitlines()[-1])["marker"] == "SUCCESS"
        _killed_at("deleting the stack", "down", *where, "--yes")
        code, said = _done("down", *where, "--yes")
        assert code == 0, said


def test_doctor_without_any_cloud_says_so() -> None:
    """Nothing is served: one failure with its remedy, and nothing else is guessed."""
    found = {item.topic: item for item in doctor(OPTIONS)}
    assert found["cloud"].outcome == "fail"
    assert "flyback rehearsal serve" in found["cloud"].remedy
    assert found["stack"].outcome == "could not check"
    assert max(item.exit_code for item in found.values()) == 2


def test_attach_completes_a_launch_of_which_only_the_request_is_known(bench: Any) -> None:
    """The answer never came: the machine is found by its tags, and there is only one."""
    with bench.cloud_after("up") as cloud:
        options = Options(cloud="rehearsal", run_id="cut-off")
        run = start(prepare(bench.job), cloud, options, silent)
        path = local_home() / "runs" / "cut-off" / "launch.json"
        made = run.launch.attempts[-1].instance_id
        document = json.loads(path.read_text())
        for name in ("instance_id", "instance_type", "zone", "launched_at"):
            document["attempts"][-1][name] = None
        path.write_text(json.dumps(document))
        again = start(prepare(bench.job), cloud, options, silent)
        assert again.launch.attempts[-1].instance_id == made
        assert read_json(Launch, path).attempts[-1].instance_id == made
        assert again.wait().kind == "SUCCESS"
        assert len(cloud.session.ec2.instances("flyback:run-id")) == 1


def test_another_job_cannot_have_the_same_run_id(bench: Any) -> None:
    """A run id belongs to its job; a bad one is refused."""
    with bench.cloud_after("up") as cloud:
        options = Options(cloud="rehearsal", run_id="taken")
        start(prepare(bench.job), cloud, options, silent)
        with pytest.raises(UserError, match="another job"):
            start(prepare(bench.job, overrides=["max_hours=0.5"]), cloud, options, silent)
        with pytest.raises(UserError, match="lower-case"):
            start(prepare(bench.job), cloud, Options(cloud="rehearsal", run_id="No!"), silent)


def test_an_unknown_run_is_not_attached() -> None:
    """There is nothing to go on with."""
    with pytest.raises(UserError, match="no run was launched"):
        open_run("nobody")
