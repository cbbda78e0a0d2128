"""The walls between the rooms stand, and each of them is tried with a violation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# Contract → (module to break it in, the line that breaks it). Imports inside functions count.
SABOTAGES = {
    "layers: launch imports the agent": (
        "Rooms import only rooms below them",
        "launch/planted.py",
        "import flyback.agent\n",
    ),
    "layers: aws imports launch": (
        "Rooms import only rooms below them",
        "aws/planted.py",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import flyback.launch\n",
    ),
    "layers: a room that nobody listed": (
        "Rooms import only rooms below them",
        "extras/__init__.py",
        "",
    ),
    "boto3: plan asks the cloud": (
        "boto3 lives in aws, store and rehearsal",
        "plan/planted.py",
        "def price():\n    import boto3\n",
    ),
    "moto: the real path leans on the emulator": (
        "moto lives in rehearsal",
        "launch/planted.py",
        "import moto\n",
    ),
    "torch: the agent loads a GPU library": (
        "torch and friends live in workloads",
        "agent/planted.py",
        "import torch\n",
    ),
    "torch: launch loads one by way of spec": (
        "torch and friends live in workloads",
        "spec/planted.py",
        "def load():\n    import transformers\n",
    ),
    "no cloud: a workload reaches for it inside a function": (
        "What decides and what computes knows no cloud",
        "workloads/planted.py",
        "def run():\n    from flyback.aws import ec2\n",
    ),
    "no cloud: plan reads a bucket": (
        "What decides and what computes knows no cloud",
        "plan/planted.py",
        "import flyback.store.open\n",
    ),
    "no workload: the agent imports one": (
        "The agent never imports a workload",
        "agent/planted.py",
        "import flyback.workloads\n",
    ),
    "cycle: two siblings import each other": (
        "No cycles",
        "spec/planted.py",
        "import flyback.spec.other_planted\n",
    ),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of the pyproject in `folder` on the package in `folder`/src."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    environ = {"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The package's Python and its pyproject, elsewhere."""
    shutil.copytree(
        root / "src" / "flyback",
        tmp_path / "src" / "flyback",
        ignore=lambda folder, names: [
            name for name in names if Path(folder, name).is_file() and not name.endswith(".py")
        ],
    )
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_walls_stand(copy: Path) -> None:
    """Every contract is kept."""
    outcome = lint_imports(copy)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_each_wall_catches_its_violation(copy: Path, sabotage: str) -> None:
    """A planted import breaks the contract that is there to forbid it."""
    contract, module, text = SABOTAGES[sabotage]
    planted = copy / "src" / "flyback" / module
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(text)
    if contract == "No cycles":
        planted.with_name("other_planted.py").write_text("import flyback.spec.planted\n")
    outcome = lint_imports(copy)
    assert outcome.returncode != 0
    assert f"{contract} BROKEN" in outcome.stdout or "extras" in outcome.stdout, outcome.stdout


def test_every_contract_is_tried(root: Path) -> None:
    """A contract that nobody has seen fail may be asleep."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {c["name"] for c in contracts["contracts"]} == {c for c, _, _ in SABOTAGES.values()}
