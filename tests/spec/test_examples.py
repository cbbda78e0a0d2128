"""The shipped examples, which the documents send their readers to."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from flyback.spec.job import JobSpec
from flyback.spec.load import load_job
from flyback.workloads import registry

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))


def loaded(name: str, *overrides: str, preset: str | None = None) -> JobSpec:
    """An example, judged by the shipped workloads."""
    return load_job(
        EXAMPLES / name,
        overrides,
        preset,
        check_parameters=registry.check_parameters,
        workload_presets=registry.presets,
        workload_parameters=registry.parameter_names,
    ).job


@pytest.mark.parametrize("preset", [None, "smoke"])
@pytest.mark.parametrize("name", FILES)
def test_each_example_loads(name: str, preset: str | None) -> None:
    """As it is and as a smoke test, within a dollar, on a machine without an idle GPU."""
    job = loaded(name, preset=preset)
    assert job.max_usd is not None
    assert job.max_usd <= 1
    assert job.resources.count == 0


def test_the_examples_are_these() -> None:
    """One for each way to say what runs."""
    assert FILES == ["command.yaml", "interrupted.yaml", "spectral.yaml", "sweep.yaml"]


def test_the_commands_in_their_comments_work() -> None:
    """The overrides that the examples recommend."""
    assert loaded("spectral.yaml", preset="full").parameters["frames"] == 50_000
    assert len(list(loaded("spectral.yaml", "nfft=1024,4096").cells())) == 2
    assert len(list(loaded("sweep.yaml").cells())) == 6
    assert len(list(loaded("sweep.yaml", "overlap=0.5").cells())) == 3
    assert len(list(loaded("sweep.yaml", "channels=range(1,5)").cells())) == 24


def test_a_smoke_sweep_is_short() -> None:
    """Two runs of few frames."""
    cells = list(loaded("sweep.yaml", preset="smoke").cells())
    assert [cell["nfft"] for cell in cells] == [256, 512]


def test_the_example_command_does_what_its_job_says(tmp_path: Path) -> None:
    """It prints a JSON object last and leaves the file that `outputs` names."""
    job = loaded("command.yaml", preset="smoke")
    assert job.workdir is not None
    program = EXAMPLES / job.workdir / job.command[1]
    done = subprocess.run(
        [sys.executable, str(program), *job.command[2:]],
        cwd=tmp_path,
        env={"FLYBACK_PARAMETERS": json.dumps(dict(job.parameters))},
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["mib"], result["copies"]) == (4, 5)
    (found,) = [path for pattern in job.outputs for path in tmp_path.glob(pattern)]
    with found.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["copy_ns"]
    assert len(rows) == 6
