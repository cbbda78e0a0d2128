"""Starting a machine's first process, and asking what this computer's kernel enforces."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flyback.rehearsal.isolation import launcher
from flyback.rehearsal.isolation.fence import Fence, private_paths, system_paths

__all__ = ["Protection", "available", "start"]

_SIGNALS_SINCE, _NETWORK_SINCE = 6, 4


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What the kernel enforces on a machine's processes.

    Args:
        landlock: Version of Landlock's interface; 0 where there is none.
        sockets: No sockets but TCP.
        capabilities: Nothing that only root may do.
    """

    landlock: int = 0
    sockets: bool = False
    capabilities: bool = False

    @property
    def isolated(self) -> bool:
        """The machine can't read or write this computer's files outside its own."""
        return self.landlock > 0

    def __str__(self) -> str:
        if not self.isolated:
            return (
                "not isolated: this kernel has no Landlock, so the rehearsed machine can reach "
                "whatever you can (Linux 5.13 or newer has it)"
            )
        gaps = []
        if self.landlock < _NETWORK_SINCE:
            gaps.append("may open TCP connections (Linux 6.7 refuses them)")
        if self.landlock < _SIGNALS_SINCE:
            gaps.append("may signal your processes (Linux 6.12 refuses that)")
        if not self.sockets:
            gaps.append("may open other sockets")
        return "isolated by the kernel" + (f", but {', '.join(gaps)}" if gaps else "")


def start(
    commands: Sequence[Sequence[str]],
    fence: Fence,
    *,
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
) -> subprocess.Popen[bytes]:
    """Run commands one after the other behind a fence, in sessions of their own.

    The returned process is their parent and stays outside the fence. It reports on its standard
    output (see `launcher`), ends once nothing is left of the commands, and kills all of it when
    its standard input is closed.

    Args:
        commands: Argument lists; the first of each is an absolute path.
        fence: What they may reach.
        directory: Where they start.
        environment: All of their environment.
        log: Their output is appended to this file.
    """
    spec = {
        "commands": [list(command) for command in commands],
        "fence": asdict(fence),
        "directory": str(directory),
        "environment": dict(environment),
        "log": str(log),
    }
    # The interpreter below a virtual environment: it needs nothing from the environment.
    python = getattr(sys, "_base_executable", "") or sys.executable
    script = Path(launcher.__file__)
    return subprocess.Popen(
        [python, "-I", "-S", "-B", str(script), json.dumps(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


@functools.cache
def available() -> Protection:
    """What this computer enforces, found by trying it on a process that does nothing."""
    true = shutil.which("true", path="/usr/bin:/bin")
    with tempfile.TemporaryDirectory() as folder:
        process = start(
            [[true or sys.executable]],
            Fence(read=system_paths(private_paths()), write=(folder,)),
            directory=Path(folder),
            environment={},
            log=Path(folder, "log"),
        )
        with process:
            lines = process.stdout.readlines() if process.stdout else []
    reports: list[dict[str, Any]] = [json.loads(line) for line in lines]
    found = [report["fence"] for report in reports if "fence" in report]
    return Protection(**found[0]) if found else Protection()
