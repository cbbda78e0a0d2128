"""The attempt's own folder: two runs on one machine never mix, and nothing in it is older."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flyback.spec.paths import AttemptPaths, RunPaths

__all__ = ["Scratch"]


@dataclass(frozen=True)
class Scratch:
    """Folders and files of one attempt; files are named as their keys in the store are.

    Args:
        folder: Holds everything below.
        paths: Keys of the attempt.
    """

    folder: Path
    paths: AttemptPaths

    @classmethod
    def fresh(cls, root: Path, paths: RunPaths, attempt: int) -> Scratch:
        """An empty folder for this attempt; what a former process left under it is removed."""
        folder = root / paths.run_id / str(attempt)
        shutil.rmtree(folder, ignore_errors=True)
        scratch = cls(folder, paths.attempt(attempt))
        for part in (scratch.work, scratch.samples, scratch.outputs, scratch.temporary):
            part.mkdir(parents=True)
        scratch.log.touch()
        return scratch

    @property
    def work(self) -> Path:
        """The job's working directory."""
        return self.folder / "work"

    @property
    def packages(self) -> Path:
        """Where locked requirements are installed."""
        return self.folder / "packages"

    @property
    def samples(self) -> Path:
        """Raw samples of all cells."""
        return self.folder / "samples"

    @property
    def outputs(self) -> Path:
        """What the job puts into `FLYBACK_OUTPUT_DIR`."""
        return self.folder / "outputs"

    @property
    def temporary(self) -> Path:
        """The job's `TMPDIR`."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        return self._named(self.paths.log)

    @property
    def events(self) -> Path:
        return self._named(self.paths.events)

    @property
    def results(self) -> Path:
        return self._named(self.paths.results)

    def checkpoints(self, inside_work: str | None) -> Path:
        """The job's checkpoint folder: where the job says, or beside its working directory."""
        return self.work / inside_work if inside_work else self.folder / "checkpoints"

    def _named(self, key: str) -> Path:
        return self.folder / PurePosixPath(key).name
