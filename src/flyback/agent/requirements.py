"""Locked requirements: nothing is installed where the image has it all, else exactly the lock."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["install_command", "missing", "names", "shipped"]

# PEP 508: a name, extras perhaps, and then what says which version, where or when
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[=@~<>!;\\]|$)", re.ASCII)


def shipped() -> Path:
    """The lock of the shipped workloads; it travels in the bundle."""
    return Path(__file__).parents[1] / "workloads" / "requirements.txt"


def names(lock: str) -> tuple[str, ...]:
    """The distributions that a requirements file names, in its order."""
    found = []
    for line in lock.splitlines():
        if line.lstrip().startswith(("#", "-")):
            continue
        match = _NAME.match(line)
        if match:
            found.append(match.group(1))
    return tuple(found)


def missing(lock: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Which of them the image's Python does not have.

    Any version counts: what an image brings was chosen with it. What only the agent sees, through
    its own `PYTHONPATH`, does not.
    """
    ours = {str(Path(entry)) for entry in environ.get("PYTHONPATH", "").split(":") if entry}
    path = [entry for entry in sys.path if entry and str(Path(entry)) not in ours]
    return tuple(name for name in names(lock) if not _is_there(name, path))


def install_command(lock: Path, target: Path) -> tuple[str, ...]:
    """Program and arguments that install a lock beside the image's own packages."""
    options = ("--no-input", "--disable-pip-version-check", "--no-compile", "--require-hashes")
    return (
        *(sys.executable, "-P", "-m", "pip", "install"),
        *options,
        *("--target", str(target), "-r", str(lock)),
    )


def _is_there(name: str, path: Sequence[str]) -> bool:
    return any(importlib.metadata.distributions(name=name, path=list(path)))
