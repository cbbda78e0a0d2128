"""Rehearsed clouds for whole paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyback.api.job import Prepared, prepare
from flyback.api.verbs import Options, deploy
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.launch.progress import silent

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with nothing in it."""
    folder = local_home() / "rehearsal" / "cloud"
    folder.mkdir(parents=True)
    started = start_rehearsal(folder, region="us-east-1")
    assert started.emulated is not None
    yield started
    started.emulated.stop()


@pytest.fixture
def deployed(cloud: Cloud) -> Cloud:
    """An emulated cloud after `up`."""
    deploy(cloud, Options(cloud="rehearsal"), silent)
    return cloud


@pytest.fixture
def gpu_job(tmp_path: Path) -> Callable[..., Prepared]:
    """Makes a job for one GPU of the cheapest kind: two spot attempts, then stop."""

    def make(*overrides: str) -> Prepared:
        path = tmp_path / "job.json"
        job = {
            "name": "refused",
            "command": ["true"],
            "resources": {"any_of": ["g4dn.xlarge"]},
            "spot": {"attempts": 2, "then": "stop"},
        }
        path.write_text(json.dumps(job))
        return prepare(path, overrides=overrides)

    return make


@pytest.fixture
def flyback() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line as a user does: its own process, no AWS variable set."""

    def run(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: text for name, text in os.environ.items() if not name.startswith("AWS_")
        }
        return subprocess.run(
            [sys.executable, "-m", "flyback.cli.main", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**environment, **environ},
            timeout=300,
        )

    return run
