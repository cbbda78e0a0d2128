"""Run ids: sortable by time, safe as folder, key and tag."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime

__all__ = ["new_run_id"]

_UNSAFE = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH = 40  # leaves room for the time and four letters within 63


def new_run_id(name: str, now: float, chance: random.Random) -> str:
    """`<name>-<yyyymmdd>t<hhmmss>-<4 letters>`; `now` in seconds since the epoch, UTC."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dt%H%M%S")
    safe = _UNSAFE.sub("-", name.lower()).strip("-")[:_NAME_LENGTH].strip("-") or "run"
    letters = "".join(chance.choices("abcdefghjkmnpqrstuvwxyz23456789", k=4))
    return f"{safe}-{moment}-{letters}"
