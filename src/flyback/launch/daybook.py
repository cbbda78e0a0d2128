"""What a deployment's runs may cost in a day, written down before they begin.

One object per run under `spend/<day>/`: first with the most that the run may cost, then with its
receipt. So the cap holds for everybody who launches into the deployment, and a laptop that dies
leaves the larger figure standing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flyback.store.protocol import Store

__all__ = ["commit", "committed"]

_FOLDER = "spend"


def committed(store: Store, at: float, run_id: str) -> float:
    """USD that other runs launched on the same day (UTC) have cost or may still cost."""
    total = 0.0
    for item in store.list(f"{_day(at)}/"):
        if item.key != _key(at, run_id):
            total += float(json.loads(store.get(item.key))["usd"])
    return total


def commit(store: Store, at: float, run_id: str, usd: float) -> None:
    """Write down what a run may cost at most, or has cost.

    Args:
        store: The deployment's.
        at: When it was launched, seconds since the epoch.
        run_id: The run.
        usd: USD.
    """
    store.put(_key(at, run_id), json.dumps({"run_id": run_id, "usd": usd}).encode() + b"\n")


def _day(at: float) -> str:
    return f"{_FOLDER}/{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _key(at: float, run_id: str) -> str:
    return f"{_day(at)}/{run_id}.json"
