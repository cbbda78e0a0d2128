"""Chance that is the same whenever it is asked: a drifting figure of seed and time."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from statistics import NormalDist

__all__ = ["drift", "level", "share", "step_at", "step_start"]

_PERSISTENCE = 0.8  # correlation of one step with the next
_TERMS = 32  # 0.8 ** 32 is below a thousandth
_WEIGHTS = tuple(math.sqrt(1 - _PERSISTENCE**2) * _PERSISTENCE**back for back in range(_TERMS))
_NORMAL = NormalDist()


@lru_cache(maxsize=65536)
def share(seed: int, *names: str | int) -> float:
    """A figure strictly between 0 and 1, uniform over names."""
    text = "/".join(map(str, (seed, *names)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**64


def level(seed: int, *names: str | int) -> float:
    """A figure of the standard normal distribution."""
    return _NORMAL.inv_cdf(min(max(share(seed, *names), 1e-12), 1 - 1e-12))


def step_at(now: float, period: float, seed: int, name: str) -> int:
    """Number of the step that a moment lies in; steps begin irregularly, one in each period."""
    number = math.floor(now / period)
    return number if step_start(number, period, seed, name) <= now else number - 1


def step_start(number: int, period: float, seed: int, name: str) -> float:
    """When a step begins, in whole seconds since the epoch."""
    return float(math.floor((number + share(seed, name, "start", number)) * period))


def drift(number: int, seed: int, name: str) -> float:
    """The drifting figure in a step: standard normal, and always drawn back to 0.

    An autoregressive process of order one (the Ornstein-Uhlenbeck process, sampled), written as its
    moving average and cut off after 32 terms, so that any moment is reached without stepping.
    """
    return math.fsum(
        weight * level(seed, name, number - back) for back, weight in enumerate(_WEIGHTS)
    )
