"""Checkpoints on their way out, and back on the next attempt's machine.

The job writes them; the agent keeps them safe. In two phases: every file goes up under the name of
its content, then one manifest names them all, so that whoever reads it finds a whole checkpoint or
the one before. A file counts as written when its name does not begin with a dot: write it under
another name first, then rename it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from flyback.agent.journal import Journal
from flyback.errors import AccessDeniedError, FlybackError, NotFoundError
from flyback.spec.paths import RunPaths
from flyback.store.protocol import Store

__all__ = ["INTERVAL_S", "Checkpoints", "Manifest"]

INTERVAL_S = 60.0
"""Between two uploads at least: what a machine that dies without a notice can lose."""

_LOOK_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One whole checkpoint.

    Args:
        attempt: Which one made it.
        taken_at: When its newest file was read, seconds since the epoch.
        files: Name below the checkpoint folder → SHA-256 of its content.
    """

    attempt: int
    taken_at: float
    files: Mapping[str, str]


class Checkpoints:
    """Keeps a job's checkpoint folder safe.

    Args:
        folder: Where the job writes.
        staging: Where files are copied to before they go up; a job may replace its own meanwhile.
        store: Where to.
        paths: The run's keys.
        attempt: This one's number.
        journal: Told of each upload.
    """

    def __init__(
        self,
        folder: Path,
        staging: Path,
        store: Store,
        paths: RunPaths,
        attempt: int,
        journal: Journal,
    ) -> None:
        self._folder = folder
        self._staging = staging
        self._store = store
        self._paths = paths
        self._attempt = attempt
        self._journal = journal
        self._sent: frozenset[str] = frozenset()
        self._last: dict[str, str] = {}
        self._state: tuple[Any, ...] = ()
        self._next = 0.0
        self.due = 0.0

    def tick(self, now: float) -> None:
        """Upload what has changed, a minute after the last time at the earliest."""
        self.due = now + _LOOK_S
        if now >= self._next and self.changed():
            with contextlib.suppress(FlybackError, OSError):
                self.save(now)
                self._next = now + INTERVAL_S

    def changed(self) -> bool:
        """Whether the folder holds something that is not up yet."""
        state = self._look()
        return bool(state) and state != self._state

    def save(self, now: float) -> bool:
        """Upload the checkpoint as it is; whether there was anything new.

        Raises:
            FlybackError: it could not be brought home; the one before still counts.
        """
        state = self._look()
        files = {name: self._stage(path) for name, path in self._files()}
        if not files or files == self._last:
            self._state = state
            return False
        size = 0
        for digest in sorted(set(files.values()) - self._sent):
            staged = self._staging / digest
            size += staged.stat().st_size
            self._store.put_file(self._paths.checkpoint_file(digest), staged)
        manifest = Manifest(attempt=self._attempt, taken_at=now, files=files)
        text = json.dumps(
            {"attempt": self._attempt, "taken_at": now, "files": manifest.files}, sort_keys=True
        )
        self._store.put(self._paths.checkpoint, text.encode() + b"\n")
        self._sent |= frozenset(files.values())
        self._last, self._state = files, state
        shutil.rmtree(self._staging, ignore_errors=True)
        self._journal.tell("checkpoint", taken_at=now, files=len(files), bytes=size)
        return True

    def restore(self) -> Manifest | None:
        """Bring the newest whole checkpoint of an earlier attempt; None where there is none.

        One that does not hash to what its manifest says is not used.
        """
        try:
            found = json.loads(self._store.get(self._paths.checkpoint))
            manifest = Manifest(
                attempt=int(found["attempt"]),
                taken_at=float(found["taken_at"]),
                files=dict(found["files"]),
            )
        except (NotFoundError, AccessDeniedError):  # S3 says so to who may not list the bucket
            return None
        for name, digest in manifest.files.items():
            target = self._folder / PurePosixPath(name)
            if not target.resolve().is_relative_to(self._folder.resolve()):
                raise FlybackError(f"the checkpoint's file {name!r} leaves its folder")
            self._store.get_file(self._paths.checkpoint_file(digest), target)
            if _sha256(target) != digest:
                shutil.rmtree(self._folder)
                self._folder.mkdir(parents=True)
                return None
        self._last = dict(manifest.files)
        self._sent = frozenset(manifest.files.values())
        self._state = self._look()
        return manifest

    def stop(self) -> None:
        """Look no more: the end uploads once more by itself."""
        self.due = math.inf

    def _files(self) -> Iterator[tuple[str, Path]]:
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.rglob("*")):
            inner = path.relative_to(self._folder)
            if path.is_file() and not any(part.startswith(".") for part in inner.parts):
                yield inner.as_posix(), path

    def _look(self) -> tuple[Any, ...]:
        found = []
        for name, path in self._files():
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
        return tuple(found)

    def _stage(self, path: Path) -> str:
        """Copy a file aside; the name of its content."""
        self._staging.mkdir(parents=True, exist_ok=True)
        copied = self._staging / "copy"
        shutil.copyfile(path, copied)
        digest = _sha256(copied)
        copied.replace(self._staging / digest)
        return digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
