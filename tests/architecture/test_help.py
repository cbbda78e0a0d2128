"""`flyback --help` is quick, loads nothing heavy, and the core installs small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

CPU_SECONDS = 0.15
CORE_MB = 100  # of 10**6 bytes, compiled caches included
DISTRIBUTIONS = 20
HEAVY = {"boto3", "botocore", "moto", "numpy", "pydantic", "rich", "ruamel", "scipy", "soundfile"}
TRIES = 5

# Runs the command line as the console script does, then tells what had been loaded.
COUNT = """
import json, sys
from flyback.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one process, from the kernel's account of it."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def help_cpu_seconds() -> list[float]:
    """CPU seconds of `flyback --help`, several times, fastest first."""
    flyback = str(Path(sys.executable).with_name("flyback"))
    cpu_seconds([flyback, "--help"])  # fills the byte-code cache
    return sorted(cpu_seconds([flyback, "--help"]) for _ in range(TRIES))


def loaded_modules() -> list[str]:
    """Every module that `--help` has loaded by its end."""
    outcome = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True
    )
    assert "Usage: " in outcome.stdout
    names: list[str] = json.loads(outcome.stderr)
    return names


def test_help_loads_nothing_heavy() -> None:
    """The verbs' libraries are loaded by the verbs, not by `--help`."""
    assert HEAVY & {name.partition(".")[0] for name in loaded_modules()} == set()


def test_help_is_quick() -> None:
    """0.15 s of CPU at most."""
    assert help_cpu_seconds()[0] <= CPU_SECONDS


def install_core(root: Path, folder: Path, environ: Mapping[str, str]) -> Path:
    """Install flyback without extras into a new environment; its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", root]
    outcome = subprocess.run(
        command, env=dict(environ), capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    return next((folder / "lib").glob("python*/site-packages"))


@pytest.mark.proof
def test_proof_help(root: Path, tmp_path: Path, outer_environ: Mapping[str, str]) -> None:
    """`--help` within its bound, and the core within its size and its number of packages."""
    cpu_s = help_cpu_seconds()[0]
    modules = loaded_modules()
    packages = install_core(root, tmp_path / "core", outer_environ)
    files = [path.lstat().st_size for path in packages.rglob("*") if path.is_file()]
    core_mb = sum(files) / 1e6
    distributions = len(list(packages.glob("*.dist-info")))
    print(
        f"PROOF help cpu_s={cpu_s:.3f} modules={len(modules)} core_mb={core_mb:.1f}"
        f" distributions={distributions}"
    )
    assert cpu_s <= CPU_SECONDS
    assert HEAVY & {name.partition(".")[0] for name in modules} == set()
    assert core_mb <= CORE_MB
    assert distributions <= DISTRIBUTIONS


@pytest.mark.bench
def test_bench_help() -> None:
    """CPU time of `--help`, beside that of an interpreter which does nothing."""
    tries = help_cpu_seconds()
    bare = sorted(cpu_seconds([sys.executable, "-c", "pass"]) for _ in range(TRIES))
    median, least = tries[TRIES // 2], tries[0]
    print(f"BENCH help cpu_s={median:.3f} least_s={least:.3f} python_s={bare[TRIES // 2]:.3f}")
