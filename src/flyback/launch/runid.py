"""Run ids: sortable by time, safe as folder, key and tag."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from flyback.errors import UserError
from flyback.spec.paths import RunPaths

__all__ = ["claimed_run_id", "new_run_id"]

_UNSAFE = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH = 40  # leaves room for the time and four letters within 63


def new_run_id(name: str, now: float, chance: random.Random) -> str:
    """`<name>-<yyyymmdd>t<hhmmss>-<4 letters>`; `now` in seconds since the epoch, UTC."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dt%H%M%S")
    safe = _UNSAFE.sub("-", name.lower()).strip("-")[:_NAME_LENGTH].strip("-") or "run"
    letters = "".join(chance.choices("abcdefghjkmnpqrstuvwxyz23456789", k=4))
    return f"{safe}-{moment}-{letters}"


@contextlib.contextmanager
def claimed_run_id(name: str, now: float, chance: random.Random, home: Path) -> Iterator[str]:
    """A run id that is nobody else's on this machine: its folder below `home` was made here.

    A rehearsal's seed draws the same letters each time, and two rehearsals may start at once; the
    second takes the next letters, and the first one's files stay. A folder in which nothing was
    written goes again.

    Raises:
        UserError: no folder can be made there.
    """
    folder = _claim(name, now, chance, home)
    try:
        yield folder.name
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _claim(name: str, now: float, chance: random.Random, home: Path) -> Path:
    while True:
        folder = home / RunPaths(new_run_id(name, now, chance)).prefix
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(
                f"{error.strerror}", where=f"{folder}", remedy="free it, or set FLYBACK_HOME"
            ) from error
        return folder
