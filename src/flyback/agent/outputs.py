"""What a cell made: its outputs and raw samples, and nothing that was there before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from flyback.agent.cells import Surroundings
from flyback.agent.output import note

__all__ = ["Gathering"]

_State = dict[Path, tuple[int, int]]


class Gathering:
    """Finds the files that one cell made.

    Args:
        surroundings: Where to look.
        number: The cell.
    """

    def __init__(self, surroundings: Surroundings, number: int) -> None:
        self._surroundings = surroundings
        self._number = number
        self._patterns = tuple(self._checked())
        self._before = self._state()
        self._samples_before = frozenset(_files(surroundings.scratch.samples))

    def outputs(self) -> Iterator[tuple[str, Path]]:
        """Name below `outputs/`, and file: what is in `FLYBACK_OUTPUT_DIR`, and what matches.

        Where both have the same name, the file in `FLYBACK_OUTPUT_DIR` counts.
        """
        work = self._surroundings.scratch.work
        found = {
            path.relative_to(work).as_posix(): path
            for path, state in self._state().items()
            if self._before.get(path) != state
        }
        own = self._surroundings.outputs(self._number)
        found.update({path.relative_to(own).as_posix(): path for path in _files(own)})
        for name in sorted(found):
            yield self._surroundings.folder(self._number) + name, found[name]

    def samples(self) -> Iterator[tuple[str, Path]]:
        """Name below `samples/`, and file; workloads give each cell's file a name of its own."""
        folder = self._surroundings.scratch.samples
        for path in _files(folder):
            if path not in self._samples_before:
                yield path.relative_to(folder).as_posix(), path

    def _checked(self) -> Iterator[str]:
        for pattern in self._surroundings.launch.job.outputs:
            parts = PurePosixPath(pattern)
            if pattern and not parts.is_absolute() and ".." not in parts.parts:
                yield pattern
            else:
                note(self._surroundings.scratch.log, f"outputs: {pattern!r} leaves the workdir")

    def _state(self) -> _State:
        """Matching files, each with its size and time of change."""
        work = self._surroundings.scratch.work
        found: _State = {}
        for pattern in self._patterns:
            for match in work.glob(pattern):
                for path in _files(match) if match.is_dir() else [match]:
                    if path.is_file() and path.resolve().is_relative_to(work.resolve()):
                        stat = path.stat()
                        found[path] = (stat.st_size, stat.st_mtime_ns)
        return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
