"""What a user can do wrong: each mistake has its sentence and its code, and creates nothing."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.api.wiring import Cloud, local_home
from flyback.errors import NotDeployedError, UserError
from flyback.launch.progress import silent
from flyback.spec.codec import write_json

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "spectral.yaml"
Flyback = Callable[..., subprocess.CompletedProcess[str]]

_MISTAKES = {
    "no such file": (["plan", "nothing.yaml"], "nothing.yaml"),
    "unknown key": (["plan", EXAMPLE, "+resources.gpus=1"], "gpus"),
    "unknown parameter": (["plan", EXAMPLE, "+parameters.nfff=1024"], "nfff"),
    "impossible value": (["plan", EXAMPLE, "nfft=1000"], "nfft"),
    "unknown instance type": (
        ["plan", EXAMPLE, "resources.any_of=[g4dn.xlarg]"],
        "g4dn.xlarge",
    ),
    "region without the type": (
        ["plan", EXAMPLE, "resources.any_of=[g6.xlarge]", "--region", "eu-west-1"],
        "eu-west-1",
    ),
    "unknown preset": (["plan", EXAMPLE, "--preset", "smok"], "smoke"),
    "two presets": (["plan", EXAMPLE, "--smoke", "--full"], "one of"),
    "unknown verb": (["rehears", EXAMPLE], "rehearse"),
    "unknown run": (["results", "nobody"], "flyback run"),
    "rehearsal that nobody serves": (["up", "--cloud", "rehearsal"], "flyback rehearsal serve"),
}


@pytest.mark.parametrize("name", list(_MISTAKES))
def test_each_mistake_has_its_sentence(flyback: Flyback, name: str) -> None:
    """Exit code 2, the thing named, a remedy where there is one, no traceback, nothing written."""
    words, sentence = _MISTAKES[name]
    done = flyback(*words)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list((local_home() / "runs").glob("*"))


def test_missing_and_broken_recordings_are_refused_before_anything_is_created(
    tmp_path: Path,
) -> None:
    """A recording that is not there, or is cut off, ends the command while it is still here."""
    job = tmp_path / "job.yaml"
    job.write_text(
        "name: recorded\nworkload: spectral\nparameters: {recording: take.wav}\n"
        "inputs: [{source: take.wav, path: take.wav}]\n"
    )
    with pytest.raises(UserError, match=r"take\.wav"):
        prepare(job)
    (tmp_path / "take.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    with pytest.raises(UserError, match=r"take\.wav"):
        prepare(job)


def test_an_account_without_up_is_said_so(cloud: Cloud) -> None:
    """Without the stack: NotDeployedError with the remedy, no run, no object, no machine."""
    assert cloud.emulated is not None
    before, calls = cloud.emulated.inventory(), len(cloud.emulated.journal.mutating())
    with pytest.raises(NotDeployedError, match="flyback up"):
        start(prepare(EXAMPLE, preset="smoke"), cloud, Options(cloud="rehearsal"), silent)
    assert cloud.emulated.inventory() == before
    assert len(cloud.emulated.journal.mutating()) == calls
    assert not list((local_home() / "runs").glob("*"))


def test_real_aws_without_credentials_says_what_to_do(flyback: Flyback, tmp_path: Path) -> None:
    """No credentials anywhere: exit code 4, the remedy, and the way that needs none."""
    done = flyback(
        "up",
        AWS_CONFIG_FILE=str(tmp_path / "none"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"),
        AWS_EC2_METADATA_DISABLED="true",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 4
    assert "no AWS credentials were found" in done.stderr
    assert "flyback rehearse" in done.stderr


def test_an_unreadable_run_folder_is_named(flyback: Flyback) -> None:
    """A damaged launch.json is listed as such, named when asked for, and hides no other run."""
    folder = local_home() / "runs" / "broken"
    folder.mkdir(parents=True)
    write_json(folder / "launch.json", {"run_id": "broken"})
    listed = flyback("ps")
    assert listed.returncode == 0
    assert "unreadable" in listed.stdout
    done = flyback("results", "broken")
    assert done.returncode == 2
    assert "broken" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_takes_no_more_is_told(flyback: Flyback) -> None:
    """Where the machine refuses a write, a person reads which and what to do, no traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        done = flyback("rehearse", EXAMPLE, "--smoke", FLYBACK_HOME=str(local_home() / "fresh"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 2, done.stderr
    assert "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr
