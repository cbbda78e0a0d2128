"""All verbs, as commands, against an emulated cloud that is being served."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flyback as product
from flyback.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "spectral.yaml"
Flyback = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Local state moved away from where it is by default."""
    moved = tmp_path / "moved home"
    monkeypatch.setenv("FLYBACK_HOME", str(moved))
    return moved


@pytest.fixture
def words() -> tuple[str, ...]:
    """Flags of the cloud that is served."""
    return ()


@pytest.fixture
def served(home: Path, words: tuple[str, ...]) -> Iterator[None]:
    """`flyback rehearsal serve`, until the test ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flyback.cli.main", "rehearsal", "serve", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "FLYBACK_CLOCK_URL" in line:
            break
    yield
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    assert not (home / "rehearsal" / "served.json").exists()


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("words", [(), ("--ci",)])
def test_whether_up_ci_is_allowed(flyback: Flyback, words: tuple[str, ...]) -> None:
    """In a cloud that is served for it; elsewhere the refusal names what to ask for."""
    done = flyback("up", "--ci", "acme/lab", "--cloud", "rehearsal")
    assert done.returncode == (0 if words else 4)
    assert ("`flyback doctor --policy --ci`" in done.stderr) == (not words)
    assert ("FLYBACK_PUSH_ROLE" in done.stderr) == bool(words)


@pytest.mark.usefixtures("served")
def test_every_verb_works_against_a_served_cloud(flyback: Flyback, home: Path) -> None:
    """up, run, ps, logs, collect, results, down: codes, answers, a question before data goes."""
    cloud = ("--cloud", "rehearsal")
    assert flyback("up", *cloud).returncode == 0
    launched = flyback("run", EXAMPLE, "--smoke", *cloud, "--detach", "--json")
    assert launched.returncode == 0, launched.stderr
    run_id = json.loads(launched.stdout.splitlines()[-1])["run_id"]
    logs = flyback("logs", "-f", run_id)
    assert logs.returncode == 0
    collected = flyback("collect", run_id, "--json")
    assert collected.returncode == 0, collected.stderr
    told = json.loads(collected.stdout.splitlines()[-1])
    assert told["marker"] == "SUCCESS"
    assert told["leftovers"] == []
    log = (home / "runs" / run_id / "attempts" / "1" / "log.txt").read_text()
    assert [line for line in logs.stdout.splitlines() if line.strip()] == [
        line for line in log.splitlines() if line.strip()
    ]
    assert "SUCCESS" in flyback("ps").stdout
    assert "clean" in flyback("results", run_id).stdout
    refused = flyback("down", *cloud)  # nobody answers the question
    assert refused.returncode == 2
    assert "--keep-data" in refused.stderr
    removed = flyback("down", *cloud, "--yes")
    assert removed.returncode == 0, removed.stderr
    assert "clean" in removed.stdout
    without = flyback("run", EXAMPLE, "--smoke", *cloud)
    assert without.returncode == 2
    assert "flyback up" in without.stderr
    assert not (Path(os.environ["HOME"]) / ".flyback").exists()


@pytest.mark.usefixtures("served")
def test_a_served_machine_is_extended_and_stopped(flyback: Flyback, tmp_path: Path) -> None:
    """`extend` tags the machine and `stop` ends it, whatever its deployment is called."""
    (tmp_path / "work").mkdir()
    job = {
        "name": "waits",
        "workdir": "work",
        "command": ["sleep", "600"],
        "engine": "ec2",
        "resources": {"count": 0, "vcpus": 2, "memory_gib": 4},
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    cloud = ("--cloud", "rehearsal", "--name", "lab")
    assert flyback("up", *cloud).returncode == 0
    launched = flyback("run", path, *cloud, "--detach", "--json")
    assert launched.returncode == 0, launched.stderr
    run_id = json.loads(launched.stdout.splitlines()[-1])["run_id"]
    # The command waits for the machine too: a minute, which passes really here.
    assert "max_hours" in product.open_run(run_id).extend(0.1)
    stopped = flyback("stop", run_id)
    assert "INTERRUPTED (stopped)" in stopped.stderr + stopped.stdout, stopped.stderr


def test_python_says_what_the_command_line_says() -> None:
    """Every verb is a function of the package, or a method of what `run` gives."""
    twins = {"audit": "footprint", "ps": "standing", "rehearsal": "serve", "results": "results"}
    for verb in VERBS:
        name = twins.get(verb, verb)
        assert hasattr(product, name) or hasattr(product.Run, name), verb


_ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    request = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
    fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS
os.execv(sys.executable, [sys.executable, "-m", "flyback.cli.main", *sys.argv[1:]])
"""


@pytest.mark.extended
def test_a_rehearsal_needs_no_network(tmp_path: Path) -> None:
    """In a network namespace that holds loopback alone, without credentials: success, clean."""
    words = ["rehearse", str(EXAMPLE), "--smoke", "--json"]
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", _ALONE, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["marker"], told["leftovers"], told["instances_left"]) == ("SUCCESS", [], 0)
