"""Checkpoints on their way while the job goes on: shards as they are written, the manifest last.

    <checkpoint folder>/<name>/<shards>     each complete under its name, renamed into place
    <checkpoint folder>/<name>/COMPLETE     written by the job when all shards are there

A shard travels once two looks in a row find it unchanged; a checkpoint counts once its manifest is
there. `index.json` names those that count, newest first: a machine may not list the bucket. When
the job is asked to end, or the machine to be taken, what is complete by then still arrives.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from flyback.agent.journal import Journal
from flyback.errors import FlybackError, ServiceError
from flyback.spec.paths import COMPLETE
from flyback.store.commit import Commit, fetch
from flyback.store.protocol import Store

__all__ = ["COMPLETE", "Checkpoints", "restore"]

INDEX = "index.json"
_PERIOD_S = 5.0
_LEFT_S = 60.0  # of the notice, after the job's grace and before logs and markers
_UNFINISHED = (".tmp", ".part", ".partial", ".incomplete")
_State = tuple[int, int]


@dataclass
class _Underway:
    """A checkpoint that is being written or uploaded."""

    commit: Commit
    seen: dict[str, _State] = field(default_factory=dict)
    added: dict[str, _State] = field(default_factory=dict)
    taken_at: float = 0.0
    done: Future[None] | None = None


class Checkpoints:
    """A concern of the supervisor.

    Args:
        store: Where to.
        prefix: Key below which the run's checkpoints lie, without a slash at its end.
        folder: `FLYBACK_CHECKPOINT_DIR`.
        journal: Told of each that is committed, or not.
        levels: How deep the checkpoints lie in the folder.
    """

    def __init__(
        self, store: Store, prefix: str, folder: Path, journal: Journal, levels: int = 1
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._folder = folder
        self._journal = journal
        self._levels = levels
        self._underway: dict[str, _Underway] = {}
        self._closed = set(self._folders())  # restored: committed before
        self._executor = ThreadPoolExecutor(1, "flyback-checkpoint")  # commits in their order
        self.due = 0.0

    def tick(self, now: float) -> None:
        """Look for shards that have come to rest; never waits."""
        self.due = now + _PERIOD_S
        for name, folder in self._folders().items():
            if name not in self._closed:
                with contextlib.suppress(OSError):  # the job removed it meanwhile
                    self._look(name, folder, now)
        self._reap()

    def finish(self, now: float, between: Callable[[], None], *, hurried: bool) -> None:
        """Let complete checkpoints arrive; those that are not complete are left.

        Args:
            now: Seconds since the epoch.
            between: Called every half second, so that the heartbeat goes on.
            hurried: The machine goes away: wait for a minute at most.
        """
        self.tick(now)
        self.due = math.inf
        looks = int(_LEFT_S / 0.5) if hurried else None
        while looks is None or looks > 0:
            running = [u.done for u in self._underway.values() if u.done is not None]
            if not running:
                break
            wait(running, timeout=0.5)
            self._reap()
            between()
            looks = looks if looks is None else looks - 1
        for name, underway in self._underway.items():
            underway.commit.abandon()
            self._journal.tell("checkpoint-left", name=name, complete=underway.done is not None)
        self._underway.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _folders(self) -> dict[str, Path]:
        found = self._folder.glob("/".join("*" * self._levels))
        return {
            path.relative_to(self._folder).as_posix(): path
            for path in sorted(found)
            if path.is_dir() and path.name[0] != "."
        }

    def _look(self, name: str, folder: Path, now: float) -> None:
        underway = self._underway.get(name)
        if underway is None:
            underway = _Underway(Commit(self._store, f"{self._prefix}/{name}"))
            self._underway[name] = underway
        if underway.done is not None:
            return
        complete = (folder / COMPLETE).exists()  # before the files, which were there before it
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.endswith(_UNFINISHED) and path.name[0] != "."
        }
        for shard, path in files.items():
            state = _state(path)
            settled = complete or underway.seen.get(shard) == state
            if settled and shard not in underway.added and shard != COMPLETE:
                underway.added[shard] = state
                underway.commit.add(shard, path)
            underway.seen[shard] = state
        if complete:
            underway.taken_at = now
            underway.done = self._executor.submit(self._commit, name, folder, underway)

    def _commit(self, name: str, folder: Path, underway: _Underway) -> None:
        underway.commit.gather()
        changed = [n for n, was in underway.added.items() if _state(folder / n) != was]
        if changed:
            raise ServiceError(f"{changed[0]} changed while it was uploaded", where=f"{folder}")
        underway.commit.finish()
        names = [name, *(n for n in _index(self._store, self._prefix) if n != name)]
        self._store.put(f"{self._prefix}/{INDEX}", json.dumps(names).encode())

    def _reap(self) -> None:
        for name, underway in list(self._underway.items()):
            if underway.done is None or not underway.done.done():
                continue
            error = underway.done.exception()
            if error is None:
                self._journal.tell(
                    "checkpoint-committed",
                    name=name,
                    files=len(underway.added),
                    taken_at=underway.taken_at,
                )
            else:
                underway.commit.abandon()
                self._journal.tell("checkpoint-failed", name=name, error=str(error))
            self._closed.add(name)
            del self._underway[name]


def restore(store: Store, prefix: str, folder: Path) -> str | None:
    """Bring the newest checkpoint that arrives whole; its name, or None where there is none."""
    for name in _index(store, prefix):
        with contextlib.suppress(FlybackError):
            fetch(store, f"{prefix}/{name}", folder / name)
            (folder / name / COMPLETE).touch()
            return name
    return None


def _index(store: Store, prefix: str) -> list[str]:
    try:
        return [str(name) for name in json.loads(store.get(f"{prefix}/{INDEX}"))]
    except (FlybackError, ValueError):  # without leave to list, an absent key is a denied one
        return []


def _state(path: Path) -> _State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
