"""The machine, the interpreter and the packages that a figure was measured with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["THREADS", "cpu_model", "describe_environment", "source_sha256"]

_PACKAGES = (
    *("flyback", "numpy", "scipy", "soundfile"),
    *("cuda-bindings", "cuda-core", "mkl_fft", "numba", "nvidia-cuda-nvrtc", "nvidia-cufft"),
    *("opencv-python-headless", "pyFFTW", "torch"),
)
_GIT_S = 10  # seconds
_ALWAYS = 4  # of them, null where they are missing
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_PACKAGE = Path(__file__).resolve().parents[1]


def describe_environment() -> dict[str, Any]:
    """The record's `env`; what can't be found out is null."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "affinity": _affinity(),
        "load1": round(os.getloadavg()[0], 2),
        "packages": _packages(),
        "threads": {name: os.environ.get(name) for name in THREADS},
        **_git(_PACKAGE.parents[1]),
    }


def cpu_model() -> str | None:
    """The processor's name as the kernel gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Processor", "cpu model"):
            return value.strip()
    return platform.processor() or None


def source_sha256(module: str) -> str:
    """Hash of the source that a workload's module belongs to, and of the runner.

    Two results with the same hash were measured by the same code, wherever it came from.
    """
    digest = hashlib.sha256()
    folder = Path(__file__).resolve().parent
    own = folder / module.removeprefix("flyback.workloads.").split(".", maxsplit=1)[0]
    plugin = getattr(sys.modules.get(module), "__file__", None)
    if plugin and not Path(plugin).is_relative_to(folder):  # somebody's own: its module alone
        digest.update(Path(plugin).name.encode() + b"\0" + Path(plugin).read_bytes())
    for path in sorted([*folder.glob("*.py"), *own.rglob("*.py"), *own.rglob("*.cu")]):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _affinity() -> list[int] | None:
    """Processors that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _packages() -> dict[str, str | None]:
    """Versions; those that most machines lack are named only where they are installed."""
    found = {name: _version(name) for name in _PACKAGES}
    return {
        name: version
        for number, (name, version) in enumerate(found.items())
        if number < _ALWAYS or version is not None
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: Path) -> dict[str, Any]:
    """Commit of flyback's own checkout, and whether it differs; nulls for an installed copy.

    No other checkout counts: a virtual environment may lie in somebody's repository.
    """
    nothing: dict[str, Any] = {"git_sha": None, "git_dirty": None}
    git = shutil.which("git")
    if git is None or not (root / ".git").exists() or (root / "src" / "flyback") != _PACKAGE:
        return nothing
    command = [git, "-C", f"{root}", "status", "--porcelain=v2", "--branch", "-uno"]
    try:
        found = subprocess.run(command, capture_output=True, check=True, timeout=_GIT_S, text=True)
    except (OSError, subprocess.SubprocessError):
        return nothing
    lines = found.stdout.splitlines()
    heads = [line.split()[-1] for line in lines if line.startswith("# branch.oid")]
    return {"git_sha": heads[0], "git_dirty": any(line[0] != "#" for line in lines)}
