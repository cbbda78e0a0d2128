"""`python -m flyback.workloads`: what a person, a container and the agent call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from flyback.spec.codec import loads
from flyback.spec.result import Result
from flyback.workloads import registry
from flyback.workloads.__main__ import main
from flyback.workloads.spectral.engines import ENGINES, Engine

COMMAND = [sys.executable, "-m", "flyback.workloads"]
QUICK = ["nfft=64", "frames=100", "warmup=10"]


def call(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, cwd=cwd)


def test_the_last_line_is_the_result(weird_tmp_path: Path) -> None:
    """Table first, then one compact JSON document, read back by the codec; samples beside it."""
    done = call(
        "spectral", "--json", "--samples-dir", str(weird_tmp_path), "--parameters",
        '{"channels": 3}', *QUICK, "window=blackman",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    result = loads(Result, line)
    assert result.status == "ok"
    assert (result.params["channels"], result.params["window"]) == (3, "blackman")
    assert result.samples is not None
    assert (weird_tmp_path / result.samples["file"]).exists()
    assert any(row.startswith("gate: ") for row in table)
    assert not any(row.startswith("{") for row in table)
    assert done.stderr == ""


def test_without_json_there_is_only_the_table() -> None:
    """For people."""
    done = call("spectral", "--parameters", *QUICK)
    assert done.returncode == 0
    assert "{" not in done.stdout
    assert "real time" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["spektral"], "workload: no workload is called 'spektral'\n  → did you mean spectral?"),
        ([], "no workload is named\n  → name one; there are: "),
        (["spectral", "--preset", "ful"], "preset: spectral has no preset 'ful'"),
        (["spectral", "--parameters", "nftt=64"], "parameters.nftt: there is no such parameter"),
        (["spectral", "--parameters", "nfft=100"], "parameters.nfft: 100 is no power of two"),
        (["spectral", "--parameters", "nfft"], "--parameters: 'nfft' is neither key=value"),
        (["spectral", "--parameters", "{"], "--parameters: not a JSON object"),
        (
            ["spectral", "--parameters", "recording=no.wav"],
            "recording no.wav: does not exist\n  → a relative path starts at the job's working",
        ),
    ],
)
def test_mistakes_end_with_their_sentence_and_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error; nothing was computed, and no result line pretends otherwise."""
    assert main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(sentence)
    assert out == ""


def test_a_failing_gate_ends_with_1_and_a_result_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong engine: status invalid, the reason, no timings, exit code 1."""
    real = ENGINES["numpy"].plan
    wrong = Engine(package="numpy", plan=lambda w, o: lambda f: real(w, o)(f) * np.float32(1.001))
    monkeypatch.setitem(ENGINES, "numpy", wrong)
    assert main(["spectral", "--json", "--parameters", "backend=numpy", *QUICK]) == 1
    result = loads(Result, capsys.readouterr().out.splitlines()[-1])
    assert result.status == "invalid"
    assert result.latency_ns is None
    assert "60.0 dB, 120 dB is needed" in result.reason


@pytest.mark.parametrize("mode", ["streaming", "batch"])
def test_a_real_recording_is_measured(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rate and channels are the file's; its own samples pass the gate too."""
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "in.wav", rng.uniform(-0.9, 0.9, (5000, 3)), 44_100, "PCM_24")
    monkeypatch.chdir(tmp_path)
    assert main(["spectral", "--json", "--parameters", "recording=in.wav", f"mode={mode}",
                 *QUICK]) == 0  # fmt: skip
    result = loads(Result, capsys.readouterr().out.splitlines()[-1])
    assert result.stream is not None
    assert result.accuracy is not None
    assert (result.stream["fs_hz"], result.stream["channels"]) == (44_100, 3)
    assert result.accuracy["inputs"]["recording"]["complex"] > 120
    assert result.method["input"]["kind"] == "recording"
    assert len(result.method["input"]["sha256"]) == 64


def test_smoke_finishes_and_reports_a_p99(capsys: pytest.CaptureFixture[str]) -> None:
    """The preset has enough samples for p99 and honestly none for p99.9."""
    assert main(["spectral", "--preset", "smoke", "--json"]) == 0
    result = loads(Result, capsys.readouterr().out.splitlines()[-1])
    assert result.latency_ns is not None
    assert result.latency_ns["p99"] is not None
    assert result.latency_ns["p999"] is None
    assert registry.preset("spectral", "smoke").items() <= result.params.items()


def test_the_list_documents_every_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, default, kind and sentence of each; the presets."""
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    for name in registry.parameter_names("spectral"):
        assert f"\n  {name}=" in text
    assert "--preset smoke: nfft=1024" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_ends_it_cleanly_with_75(number: int, tmp_path: Path) -> None:
    """In the middle of timing: a sentence, exit code 75, no result line, no half-written file."""
    words = ["spectral", "--json", "--samples-dir", str(tmp_path), "--parameters",
             "frames=5000000", "warmup=1"]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    ) as process:  # fmt: skip
        lines = read_until(process, "warm-up:")
        process.send_signal(number)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert err.startswith("interrupted while ")
    assert not any(line.startswith("{") for line in [*lines, *rest.splitlines()])
    assert list(tmp_path.iterdir()) == []


def read_until(process: subprocess.Popen[str], start: str) -> Sequence[str]:
    """Lines up to the one that starts so: they come while it works, not at its end."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return lines
    raise AssertionError(lines)


def test_the_environment_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader needs to judge the figure; unknown things are null, not invented."""
    assert main(["spectral", "--json", "--parameters", *QUICK]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    env = document["env"]
    assert env["python"] == ".".join(map(str, sys.version_info[:3]))
    assert env["cores"] >= 1
    assert set(env["packages"]) >= {"flyback", "numpy", "scipy", "soundfile"}
    assert env["git_sha"] is None or len(env["git_sha"]) == 40
