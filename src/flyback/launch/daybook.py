"""What a deployment's runs may cost in a day, written down before they begin.

One object per run under `spend/<day>/`: first with the most that the run may cost, then with its
receipt. So the cap holds for everybody who launches into the deployment, and a laptop that dies
leaves the larger figure standing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flyback.errors import UserError
from flyback.store.protocol import Store

__all__ = ["claim", "commit", "committed"]

_FOLDER = "spend"
_ROUNDING_USD = 1e-6  # a run may be planned to spend exactly what is left


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


def claim(
    store: Store, at: float, run_id: str, usd: float, *, cap: float | None, before: float = 0.0
) -> None:
    """Write down what a run may cost at most, and see that the day's runs still fit below the cap.

    Of two that claim at once each finds the other's figure, for both are written before they look.

    Args:
        store: The deployment's.
        at: When it was launched, seconds since the epoch.
        run_id: The run.
        usd: USD.
        cap: USD of the day; None: there is none.
        before: USD that stand again where the claim is refused.

    Raises:
        UserError: they do not.
    """
    commit(store, at, run_id, usd)
    if cap is None:
        return
    others = committed(store, at, run_id)
    if others + usd > cap + _ROUNDING_USD:
        commit(store, at, run_id, before)
        raise UserError(
            f"${usd:.4g} more than fits: ${others:.4g} of other runs today stand "
            f"against max_usd_per_day ${cap:g}",
            where="max_usd_per_day",
            remedy="if another was launched just now, the same again is planned within what it "
            "leaves; else raise max_usd_per_day",
        )


def _day(at: float) -> str:
    return f"{_FOLDER}/{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _key(at: float, run_id: str) -> str:
    return f"{_day(at)}/{run_id}.json"
