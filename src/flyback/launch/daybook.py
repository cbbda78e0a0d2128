"""What a deployment's runs may cost in a day, written down before they begin.

One object per run under `spend/<day>/`: first with the most that the run may cost, then with its
receipt. So the cap holds for everybody who launches into the deployment, and a laptop that dies
leaves the larger figure standing. Several may claim for one run, each to extend it: the largest of
their figures counts, and whoever is refused takes back its own alone.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from flyback.errors import ConflictError, NotFoundError, UserError
from flyback.store.protocol import Store

__all__ = ["claim", "commit", "committed", "withdraw"]

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


def claim(store: Store, at: float, run_id: str, usd: float, *, cap: float | None) -> str:
    """Write down what a run may cost at most, and see that the day's runs still fit below the cap.

    Of two that claim at once each finds the other's figure, for both are written before they look.

    Args:
        store: The deployment's.
        at: When it was launched, seconds since the epoch.
        run_id: The run.
        usd: USD.
        cap: USD of the day; None: there is none.

    Returns:
        The claim's name, to withdraw it by.

    Raises:
        UserError: they do not; nothing is claimed.
    """
    name = secrets.token_hex(4)
    _change(store, at, run_id, lambda claims: {**claims, name: usd})
    if cap is None:
        return name
    others = committed(store, at, run_id)
    if others + usd > cap + _ROUNDING_USD:
        withdraw(store, at, run_id, name)
        raise UserError(
            f"${usd:.4g} more than fits: ${others:.4g} of other runs today stand "
            f"against max_usd_per_day ${cap:g}",
            where="max_usd_per_day",
            remedy="if another was launched just now, the same again is planned within what it "
            "leaves; else raise max_usd_per_day",
        )
    return name


def withdraw(store: Store, at: float, run_id: str, name: str) -> None:
    """Take a claim back; others for the same run stand."""
    _change(store, at, run_id, lambda there: {k: v for k, v in there.items() if k != name})


def _change(
    store: Store,
    at: float,
    run_id: str,
    change: Callable[[dict[str, float]], dict[str, float]],
) -> None:
    """Change the claims for a run, and nothing that somebody else has written meanwhile."""
    key = _key(at, run_id)
    while True:
        tag, claims = None, {}
        with contextlib.suppress(NotFoundError):
            tag = store.stat(key).tag
            there = json.loads(store.get(key))
            claims = there.get("claims", {"": there["usd"]})
        claims = change(claims)
        noted = {"run_id": run_id, "usd": max(claims.values(), default=0.0), "claims": claims}
        data = json.dumps(noted).encode() + b"\n"
        with contextlib.suppress(ConflictError, NotFoundError):
            store.put(key, data, if_absent=tag is None, if_tag=tag)
            return


def _day(at: float) -> str:
    return f"{_FOLDER}/{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _key(at: float, run_id: str) -> str:
    return f"{_day(at)}/{run_id}.json"
