"""How a cell of the sweep is started: one contract for workloads and for any command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyback.agent.child import Command
from flyback.agent.redaction import forms
from flyback.agent.scratch import Scratch
from flyback.spec.job import JobSpec
from flyback.spec.launch import Launch

__all__ = ["Surroundings", "checkpoint_levels"]

# The agent's own; a child that took part in simulated time under our name would confuse the clock.
_OURS = frozenset({"PYTHONPATH", "FLYBACK_ROOT", "FLYBACK_CLOCK_PARTICIPANT"})


def checkpoint_levels(job: JobSpec) -> int:
    """How deep checkpoints lie in their folder: the cells of a sweep keep theirs apart."""
    return 2 if job.sweep and job.checkpoint_dir is None else 1


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a job's processes run in.

    Args:
        launch: The run.
        attempt: Counts from 1.
        scratch: Folders of the attempt.
        environ: Environment of the agent.
        secrets: Variable name → value; for the cells alone.
        machine: What a record's fingerprint needs to know of the machine, by variable.
    """

    launch: Launch
    attempt: int
    scratch: Scratch
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    machine: Mapping[str, str] = field(default_factory=dict)

    def command(self, argv: Sequence[str]) -> Command:
        """A set-up command: the job's environment without its secrets, in its working directory."""
        return Command(argv=tuple(argv), cwd=self.scratch.work, env=self._environment(()))

    def cell(self, number: int, parameters: Mapping[str, Any]) -> Command:
        """Cell `number`, counted from 0."""
        job = self.launch.job
        text = json.dumps(parameters, separators=(",", ":"))
        outputs = self.outputs(number)
        outputs.mkdir(parents=True, exist_ok=True)
        checkpoints = self.scratch.checkpoints(job.checkpoint_dir)
        if checkpoint_levels(job) > 1:
            checkpoints /= self.folder(number)
        checkpoints.mkdir(parents=True, exist_ok=True)
        contract = {
            **self.machine,
            "FLYBACK_RUN_ID": self.launch.run_id,
            "FLYBACK_ATTEMPT": str(self.attempt),
            "FLYBACK_CELL": str(number),
            "FLYBACK_PARAMETERS": text,
            "FLYBACK_OUTPUT_DIR": str(outputs),
            "FLYBACK_CHECKPOINT_DIR": str(checkpoints),
        }
        hidden = forms(self.secrets.values())
        if job.workload is None:
            env = {**self._environment(()), **self.secrets, **contract}
            return Command(argv=job.command, cwd=self.scratch.work, env=env, hidden=hidden)
        argv = (
            *(sys.executable, "-P", "-m", "flyback.workloads", job.workload, "--json"),
            *("--samples-dir", str(self.scratch.samples), "--parameters", text),
        )
        home = str(Path(__file__).parents[2])
        env = {**self._environment((home,)), **self.secrets, **contract}
        return Command(argv=argv, cwd=self.scratch.work, env=env, hidden=hidden)

    def folder(self, number: int) -> str:
        """Prefix of a cell's outputs: in a sweep, cells that write equal names keep apart."""
        return f"{number:04d}/" if self.launch.job.sweep else ""

    def outputs(self, number: int) -> Path:
        """`FLYBACK_OUTPUT_DIR` of cell `number`."""
        return self.scratch.outputs / self.folder(number)

    def _environment(self, behind: Sequence[str]) -> dict[str, str]:
        job = self.launch.job
        kept = {name: text for name, text in self.environ.items() if name not in _OURS}
        own = {
            "TMPDIR": str(self.scratch.temporary),
            "PYTHONUNBUFFERED": "1",  # lines reach the log as they are printed
        }
        packages = [str(self.scratch.packages)] if self.scratch.packages.is_dir() else []
        given = [job.env["PYTHONPATH"]] if job.env.get("PYTHONPATH") else []
        path = os.pathsep.join([*given, *packages, *behind])
        found = {**kept, **own, **job.env}
        return {**found, "PYTHONPATH": path} if path else found
