"""What the guardian is called with, sorted by kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Wake", "read"]

_STATE = "EC2 Instance State-change Notification"
_ENDED = ("stopped", "terminated")
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Wake:
    """Why the guardian was woken.

    Args:
        kind: `run` for one run's deadline; `machine` for news of one machine; `sweep` for a round;
            `nothing` for what needs no hand.
        subject: Run id, or instance id.
    """

    kind: Literal["run", "machine", "sweep", "nothing"]
    subject: str = ""


def read(event: Mapping[str, Any]) -> Wake:
    """Sort an event.

    Warnings and rebalance recommendations do not come here: the agent reads them on the machine,
    and the guardian acts when that is gone, or stopped.

    Raises:
        ValueError: it is none that the guardian knows.
    """
    if event.get("flyback") == "deadline":
        run_id = str(event.get("run_id", ""))
        if not _RUN_ID.fullmatch(run_id):
            raise ValueError(f"{run_id!r} is no run id")
        return Wake(kind="run", subject=run_id)
    if event.get("flyback") == "sweep" or event.get("detail-type") == "Scheduled Event":
        return Wake(kind="sweep")
    if event.get("detail-type") == _STATE:
        detail = event.get("detail", {})
        ended = detail.get("state") in _ENDED
        return Wake(kind="machine" if ended else "nothing", subject=str(detail["instance-id"]))
    raise ValueError(f"unknown event: {sorted(event)}")
