"""The rules of a test session, and the sentences that a developer reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
filterwarnings = ["error"]
markers = ["proof: one PROOF line", "bench: one BENCH line"]
"""
PROOFS = """
import pytest

@pytest.mark.proof
def test_proof_main_job():
    print("PROOF main-job leftovers=0")

@pytest.mark.proof
def test_proof_loud(capsys):
    with capsys.disabled():
        print("PROOF loud a=1")

@pytest.mark.bench
def test_bench_other():
    print("BENCH other s=1")
"""
FIGURES = ("-m", "proof", "-q", "-s", "--no-header")


class Session:
    """A folder with tests of its own, under this project's conftest."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        shutil.copy(root / "tests" / "conftest.py", folder)
        (folder / "pyproject.toml").write_text(SETTINGS)

    def run(self, tests: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run pytest on these tests, as another process would."""
        (self.folder / "test_these.py").write_text(tests)
        clean = {name: text for name, text in os.environ.items() if name != "CI"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "--basetemp=scratch", *arguments],
            cwd=self.folder,
            env={**clean, **environ},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def session(root: Path, tmp_path: Path) -> Session:
    """An empty session."""
    return Session(tmp_path, root)


def test_only_the_lines_of_proofs_are_seen(session: Session) -> None:
    """`make proofs` shows the lines and pytest's last word."""
    outcome = session.run(PROOFS, *FIGURES)
    lines = [line for line in outcome.stdout.splitlines() if line]
    assert outcome.returncode == 0
    assert sorted(lines[:2]) == ["PROOF loud a=1", "PROOF main-job leftovers=0"]
    assert lines[2].startswith("2 passed")
    assert len(lines) == 3


def test_a_proof_is_chosen_by_its_name(session: Session) -> None:
    """`ONLY=main-job` runs that one."""
    outcome = session.run(PROOFS, *FIGURES, "--only=main-job")
    assert "PROOF main-job" in outcome.stdout
    assert "PROOF loud" not in outcome.stdout


def test_a_proof_that_does_not_exist_is_told_with_those_that_do(session: Session) -> None:
    """`ONLY=nope` fails, and the sentence lists the names."""
    outcome = session.run(PROOFS, *FIGURES, "--only=nope")
    assert outcome.returncode != 0
    assert "nothing here is called nope; there are: loud, main-job" in outcome.stderr


@pytest.mark.parametrize(
    "body",
    ["pass", "print('PROOF other a=1')", "print('PROOF mute a=1\\nPROOF mute a=2')"],
    ids=["silent", "another name", "twice"],
)
def test_a_proof_that_does_not_print_its_line_fails(session: Session, body: str) -> None:
    """Exactly one line that bears the proof's name, or it proves nothing."""
    tests = f"import pytest\n\n@pytest.mark.proof\ndef test_proof_mute():\n    {body}\n"
    outcome = session.run(tests, *FIGURES)
    assert outcome.returncode == 1
    assert "one line `PROOF mute …` was to be printed" in outcome.stdout


def test_a_proof_under_another_name_is_refused(session: Session) -> None:
    """What `ONLY=` cannot name would never be run alone."""
    tests = "import pytest\n\n@pytest.mark.proof\ndef test_mute():\n    pass\n"
    outcome = session.run(tests)
    assert outcome.returncode != 0
    assert "a proof is called test_proof_<name>" in outcome.stderr


@pytest.mark.parametrize(
    "test",
    [
        "def test_it():\n    pytest.skip('no browser here')\n",
        "@pytest.mark.xfail(reason='no browser here')\ndef test_it():\n    assert False\n",
        "pytest.importorskip('no_such_package', reason='no browser here')\n",
    ],
    ids=["skip", "xfail", "module"],
)
def test_what_does_not_run_fails_continuous_integration(session: Session, test: str) -> None:
    """With `CI` set a skip is a failure with its reason; on a laptop it is a skip."""
    tests = f"import pytest\n\ndef test_fine():\n    pass\n\n{test}"
    here, there = session.run(tests), session.run(tests, "-n", "2", CI="true")
    assert here.returncode in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert there.returncode == 1
    assert "these did not run: failed" in there.stdout
    assert "no browser here" in there.stdout


SWEEP = "def test_sweep(sweep):\n    print('chose', sweep(range(40)))\n"


def chosen(outcome: subprocess.CompletedProcess[str]) -> str:
    """What a sweep printed."""
    return next(line for line in outcome.stdout.splitlines() if "chose" in line)


def test_a_sweep_is_whole_for_proofs_and_a_tenth_elsewhere(session: Session) -> None:
    """The tenth is repeated by its seed, which the session's header names."""
    whole = session.run(SWEEP, "-s", FLYBACK_SWEEP="all")
    tenths = [session.run(SWEEP, "-s", FLYBACK_SWEEP_SEED=seed) for seed in ("a", "a", "b")]
    assert f"chose {list(range(40))}" in chosen(whole)
    assert chosen(tenths[0]) == chosen(tenths[1]) != chosen(tenths[2])
    assert chosen(tenths[0]).count(",") == 3
    assert "FLYBACK_SWEEP_SEED=a" in tenths[0].stdout


def test_a_test_sees_nothing_of_the_developers_shell(session: Session) -> None:
    """Credentials, settings and proxies of the shell do not reach a test; it can ask for them."""
    tests = (
        "import os\nfrom pathlib import Path\n\n"
        "def test_it(outer_environ, weird_tmp_path):\n"
        "    assert not [n for n in os.environ if n.startswith('AWS_') or 'PROXY' in n.upper()]\n"
        "    assert Path.home().is_relative_to(weird_tmp_path.parents[1])\n"
        "    assert os.environ['FLYBACK_HOME'].startswith(str(Path.home()))\n"
        "    assert outer_environ['https_proxy'] == 'http://x'\n"
    )
    shell = {"AWS_PROFILE": "work", "https_proxy": "http://x", "FLYBACK_HOME": "/nowhere"}
    outcome = session.run(tests, **shell)
    assert outcome.returncode == 0, outcome.stdout


def make(root: Path, folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Ask the Makefile for an environment in another folder."""
    environ = {n: t for n, t in os.environ.items() if n not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "-f", root / "Makefile", f"PYTHON={python}", ".venv/bin/python"]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 1", "flyback needs Python 3.11 or newer, and found none."),
        ('case "$*" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv"),
    ],
    ids=["too old", "no venv"],
)
def test_make_says_what_the_machine_lacks(
    root: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    """An old Python, or Debian's without venv, ends in a sentence with the remedy."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    outcome = make(root, tmp_path, str(python))
    assert outcome.returncode != 0
    assert sentence in outcome.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_what_the_documents_say(root: Path) -> None:
    """`.ci/run` can be executed, and calls both targets with `CI` set."""
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=True).returncode == 0
    assert {"export CI=true", "make test test-all"} <= set(script.read_text().splitlines())
