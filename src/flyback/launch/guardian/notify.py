"""Telling people what the guardian did; a message that can't be sent changes nothing."""

from __future__ import annotations

import sys

from flyback.errors import FlybackError
from flyback.launch.guardian.guard import Guard

__all__ = ["note", "tell"]


def note(run_id: str, text: str) -> None:
    """Write a sentence into the function's log."""
    print(f"{run_id}: {text}", file=sys.stderr)  # noqa: T201  # a Lambda's log is its stderr


def tell(guard: Guard, run_id: str, text: str) -> None:
    """Send a sentence to the deployment's topic, and write it into the function's log."""
    note(run_id, text)
    if not guard.topic:
        return
    try:
        guard.session.topics.publish(guard.topic, f"flyback: {run_id}", text)
    except FlybackError as error:
        note(run_id, f"nobody was told: {error}")
