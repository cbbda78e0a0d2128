"""RunPaths: every file name and S3 key of a run, here and nowhere else.

The folder on disk under `FLYBACK_HOME`, and the prefix in the bucket, hold the same files under
the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BUNDLES",
    "COMPLETE",
    "LEASES",
    "WORKDIRS",
    "AttemptPaths",
    "LeasePaths",
    "RunPaths",
    "bundle_key",
    "home",
    "workdir_key",
]

BUNDLES = "bundles"
COMPLETE = "COMPLETE"
"""The file that a job writes last into a checkpoint's folder."""
LEASES = "leases"
WORKDIRS = "workdirs"
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def home(environ: dict[str, str]) -> Path:
    """Folder of all local state: `FLYBACK_HOME`, or `~/.flyback`."""
    return Path(environ.get("FLYBACK_HOME") or Path.home() / ".flyback").expanduser().resolve()


def bundle_key(sha256: str) -> str:
    """Key of the agent bundle with that hash."""
    return f"{BUNDLES}/{sha256}.tar.gz"


def workdir_key(sha256: str) -> str:
    """Key of the working-directory archive with that hash."""
    return f"{WORKDIRS}/{sha256}.tar.gz"


@dataclass(frozen=True)
class AttemptPaths:
    """Keys of one attempt."""

    prefix: str

    @property
    def events(self) -> str:
        return f"{self.prefix}/events.jsonl"

    @property
    def heartbeat(self) -> str:
        return f"{self.prefix}/heartbeat.json"

    @property
    def log(self) -> str:
        return f"{self.prefix}/log.txt"

    @property
    def results(self) -> str:
        return f"{self.prefix}/results.jsonl"

    @property
    def marker(self) -> str:
        return f"{self.prefix}/marker.json"

    @property
    def environment(self) -> str:
        return f"{self.prefix}/environment.json"

    def sample(self, name: str) -> str:
        """Raw samples of one cell."""
        return f"{self.prefix}/samples/{name}"

    def output(self, name: str) -> str:
        """A file that the job asked to bring home."""
        return f"{self.prefix}/outputs/{name}"


@dataclass(frozen=True)
class RunPaths:
    """Keys of one run, relative to the store's root.

    Raises:
        ValueError: the run id is not made of lower-case letters, digits and hyphens.
    """

    run_id: str

    def __post_init__(self) -> None:
        if not _RUN_ID.fullmatch(self.run_id):
            raise ValueError(
                f"run id {self.run_id!r}: lower-case letters, digits and hyphens, at most 63"
            )

    @property
    def prefix(self) -> str:
        return f"runs/{self.run_id}"

    @property
    def job(self) -> str:
        return f"{self.prefix}/job.json"

    @property
    def plan(self) -> str:
        return f"{self.prefix}/plan.json"

    @property
    def launch(self) -> str:
        return f"{self.prefix}/launch.json"

    @property
    def results(self) -> str:
        return f"{self.prefix}/results.jsonl"

    @property
    def receipt(self) -> str:
        return f"{self.prefix}/receipt.json"

    @property
    def certificate(self) -> str:
        return f"{self.prefix}/certificate.json"

    @property
    def ledger(self) -> str:
        """Prefix of the guardian's create-ledger: one object per entry."""
        return f"{self.prefix}/ledger"

    @property
    def marker(self) -> str:
        """The run's terminal marker, created with If-None-Match."""
        return f"{self.prefix}/marker.json"

    @property
    def checkpoints(self) -> str:
        """Prefix of the checkpoints, which all attempts share."""
        return f"{self.prefix}/checkpoints"

    def attempt(self, number: int) -> AttemptPaths:
        """Keys of attempt `number`, which counts from 1."""
        return AttemptPaths(f"{self.prefix}/attempts/{number}")


@dataclass(frozen=True)
class LeasePaths:
    """Keys of what the guardian acts on, while a run may have a machine.

    They lie beside the runs, where machines can't write: a job must not be able to tell the
    guardian what to launch.
    """

    run_id: str

    @property
    def prefix(self) -> str:
        return f"{LEASES}/{self.run_id}"

    @property
    def launch(self) -> str:
        return f"{self.prefix}/launch.json"

    @property
    def extension(self) -> str:
        """A move of the deadline that has begun; gone once it is complete, or undone."""
        return f"{self.prefix}/extension.json"

    def request(self, number: int) -> str:
        """An attempt of the guardian's, stored before it asks, with If-None-Match."""
        return f"{self.prefix}/attempt-{number}.json"
