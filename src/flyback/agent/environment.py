"""environment.json: the hardware and software that the run really had."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flyback.agent.metadata import Metadata
from flyback.errors import ServiceError

__all__ = ["facts", "gpus"]

_INSTANCE = {
    "instance_id": "instance-id",
    "instance_type": "instance-type",
    "image_id": "ami-id",
    "zone": "placement/availability-zone",
    "region": "placement/region",
    "life_cycle": "instance-life-cycle",
}
_GPU_FIELDS = ("name", "driver_version", "memory.total", "uuid")
_TIMEOUT_S = 20
_KIB = 1024


def facts(metadata: Metadata | None, environ: Mapping[str, str], packages: Path) -> dict[str, Any]:
    """What this machine is; unknown things are null, not guessed.

    Args:
        metadata: None off EC2.
        environ: Whose `PATH` finds `nvidia-smi`.
        packages: Where the job's requirements were installed, before the image's own.
    """
    return {
        "instance": _instance(metadata) if metadata else None,
        "cpu": {
            "model": _cpu_model(),
            "vcpus": os.cpu_count(),
            "architecture": platform.machine(),
        },
        "memory_gib": _memory_gib(),
        "gpus": gpus(environ),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": dict(_packages(packages)),
    }


def gpus(environ: Mapping[str, str]) -> list[dict[str, str]]:
    """The GPUs that `nvidia-smi` tells of; none where there is no such program."""
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return []
    query = [program, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    names = ("name", "driver", "memory_mib", "uuid")
    rows = (line.split(",") for line in answer.stdout.splitlines())
    return [
        dict(zip(names, (cell.strip() for cell in row), strict=True))
        for row in rows
        if len(row) == len(names)
    ]


def _instance(metadata: Metadata) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys((*_INSTANCE, "tags"))
    with contextlib.suppress(ServiceError):
        for name, path in _INSTANCE.items():
            found[name] = metadata.get(path)
        found["tags"] = sorted((metadata.get("tags/instance") or "").split())
    return found


def _cpu_model() -> str | None:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  # a kernel file
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_gib() -> float | None:
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="utf-8") as file:  # noqa: PTH123  # a kernel file
        kib = int(file.readline().split()[1])
        return round(kib / _KIB**2, 2)
    return None


def _packages(first: Path) -> Iterator[tuple[str, str]]:
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=[str(first), *sys.path]):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(str(name), distribution.version)
    yield from sorted(found.items())
