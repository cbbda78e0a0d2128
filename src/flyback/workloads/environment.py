"""The machine, the interpreter and the packages that a figure was measured with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["THREADS", "cpu_model", "describe_environment", "source_sha256"]

_PACKAGES = (
    *("flyback", "numpy", "scipy", "soundfile"),
    *("mkl_fft", "numba", "opencv-python-headless", "pyFFTW", "torch"),
)
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
        "git_sha": _git_sha(_PACKAGE.parents[1]),
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
    """Hash of the Python source that a workload's module belongs to, and of the runner.

    Two results with the same hash were measured by the same code, wherever it came from.
    """
    digest = hashlib.sha256()
    folder = Path(__file__).resolve().parent
    own = folder / module.removeprefix("flyback.workloads.").split(".", maxsplit=1)[0]
    for path in sorted([*folder.glob("*.py"), *own.rglob("*.py")]):
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


def _git_sha(root: Path) -> str | None:
    """Commit of flyback's own checkout; null for an installed copy.

    No other checkout counts: a virtual environment may lie in somebody's repository.
    """
    git = root / ".git"
    if not (git.is_dir() and (root / "src" / "flyback") == _PACKAGE):
        return None
    try:
        head = (git / "HEAD").read_text().strip()
        reference = head.removeprefix("ref: ")
        if reference == head:
            return head
        if (git / reference).exists():
            return (git / reference).read_text().strip()
        packed = (git / "packed-refs").read_text().splitlines()
    except OSError:
        return None
    return next((line.split()[0] for line in packed if line.endswith(f" {reference}")), None)
