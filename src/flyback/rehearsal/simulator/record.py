"""What is kept of a simulated machine beside its own files."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.rehearsal.isolation import Protection
from flyback.spec.codec import write_json

__all__ = ["MachineFolder", "Record"]


@dataclass(frozen=True)
class MachineFolder:
    """The folder of one machine.

    Args:
        path: Holds everything of it.
    """

    path: Path

    @property
    def root(self) -> Path:
        """Its file system; all that it may write."""
        return self.path / "root"

    @property
    def bin(self) -> Path:
        """Its privileged commands."""
        return self.path / "bin"

    @property
    def record(self) -> Path:
        """What happened to it, as JSON."""
        return self.path / "machine.json"

    @property
    def shims(self) -> Path:
        """Calls of privileged commands, a JSON object a line."""
        return self.path / "shims.jsonl"

    @property
    def home(self) -> Path:
        return self.root / "root"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def log(self) -> Path:
        """What the scripts print, where cloud-init keeps it."""
        return self.root / "var" / "log" / "cloud-init-output.log"

    @property
    def per_boot(self) -> Path:
        """Scripts that run at every boot."""
        return self.root / "var" / "lib" / "cloud" / "scripts" / "per-boot"

    @property
    def user_data(self) -> Path:
        """The script that runs at the first boot."""
        return self.root / "var" / "lib" / "cloud" / "instance" / "scripts" / "part-001"

    @property
    def ran_once(self) -> Path:
        """There once the first boot has begun."""
        return self.root / "var" / "lib" / "cloud" / "instance" / "sem" / "config_scripts_user"

    def make(self) -> None:
        """Make the folders that every machine has."""
        for folder in (
            self.bin,
            self.home,
            self.temporary,
            self.root / "opt",
            self.log.parent,
            self.per_boot,
            self.user_data.parent,
            self.ran_once.parent,
        ):
            folder.mkdir(parents=True, exist_ok=True)


class Record:
    """Keeps `machine.json` and `shims.jsonl`.

    Args:
        folder: The machine's.
        instance_id: Which machine.
    """

    def __init__(self, folder: MachineFolder, instance_id: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._content: dict[str, Any] = {
            "instance_id": instance_id,
            "isolated": None,
            "isolation": None,
            "exit_code": None,
            "shim_calls": 0,
            "events": [],
        }

    @property
    def content(self) -> Mapping[str, Any]:
        """As it is kept in `machine.json`."""
        with self._lock:
            return {**self._content, "events": list(self._content["events"])}

    def event(self, at: float, what: str) -> None:
        """Something happened to the machine at a simulated time."""
        with self._lock:
            self._content["events"].append({"at": at, "what": what})
            self._write()

    def fenced(self, protection: Protection) -> None:
        """What the kernel enforces on the machine."""
        with self._lock:
            self._content["isolated"] = protection.isolated
            self._content["isolation"] = str(protection)
            self._write()

    def ended(self, exit_code: int) -> None:
        """The scripts of a boot have ended."""
        with self._lock:
            self._content["exit_code"] = exit_code
            self._write()

    def shim(self, at: float, command: str, arguments: Sequence[str], status: int) -> None:
        """A privileged command was called."""
        line = {"at": at, "command": command, "arguments": list(arguments), "status": status}
        with self._lock:
            self._content["shim_calls"] += 1
            with self._folder.shims.open("a") as file:
                file.write(json.dumps(line) + "\n")
            self._write()

    def _write(self) -> None:
        write_json(self._folder.record, self._content)
