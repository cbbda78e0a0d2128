"""How the market behaves, as figures that a test or a user may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ALLOWED_VCPUS", "Conditions"]

ALLOWED_VCPUS = 256
"""vCPUs of every quota of a rehearsed account unless set otherwise. A new account of AWS has 0 for
GPUs; a rehearsal with that would only ever show one sentence."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The state of the market. All figures are chosen, not measured on AWS.

    Args:
        volatility: Standard deviation of the logarithm of a spot price around its typical one.
        spread: The same of a zone's own level around the type's.
        scarcity: Factor on the share of time that a pool has no machine; 0: always one.
        interruptions: Factor on the rate at which EC2 takes spot machines away; 0: never.
        quotas: vCPUs by quota code, where not `ALLOWED_VCPUS`.
        review_s: Simulated seconds until a request for a higher quota is approved.
    """

    volatility: float = 0.08
    spread: float = 0.10
    scarcity: float = 1.0
    interruptions: float = 1.0
    quotas: Mapping[str, int] = field(default_factory=dict)
    review_s: float = 1800.0

    @classmethod
    def calm(cls) -> Conditions:
        """Prices stay at the typical one, every pool has machines, nobody is interrupted."""
        return cls(volatility=0.0, spread=0.0, scarcity=0.0, interruptions=0.0)
