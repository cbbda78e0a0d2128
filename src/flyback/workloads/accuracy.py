"""The correctness gate: signal-to-noise ratio against a reference in higher precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flyback.workloads.workload import Comparison

__all__ = ["LIMIT_DB", "Gate", "snr_db"]

LIMIT_DB = 400.0
"""What stands for an unlimited ratio, since JSON has no infinity: +400 for identical results, -400
for results that are not numbers, of another shape, or not zero where they should be."""


def snr_db(comparison: Comparison) -> float:
    """Least SNR of any single result, dB: 10 log10(sum |e|² / sum |a - e|²) over the last axis.

    One bad result among thousands decides; an average would hide it.
    """
    actual, expected = comparison.actual, comparison.expected
    if actual.shape != expected.shape or not expected.size:
        return -LIMIT_DB
    if not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        return -LIMIT_DB
    signal = _energy(expected)
    noise = _energy(actual - expected)
    exact = noise == 0
    with np.errstate(divide="ignore"):
        ratios = 10 * np.log10(np.where(exact, 1, signal) / np.where(exact, 1, noise))
    return float(np.clip(np.where(exact, LIMIT_DB, ratios), -LIMIT_DB, LIMIT_DB).min())


@dataclass
class Gate:
    """Collects comparisons and says whether all of them passed.

    Args:
        floor_db: Least SNR.
        reference: Element type of the reference.
    """

    floor_db: float
    reference: str
    checked: dict[str, dict[str, float]] = field(default_factory=dict)
    results: int = 0

    def add(self, comparison: Comparison) -> float:
        """Judge one comparison; its SNR in dB."""
        value = snr_db(comparison)
        kinds = self.checked.setdefault(comparison.label, {})
        kinds[comparison.kind] = min(value, kinds.get(comparison.kind, LIMIT_DB))
        self.results += comparison.expected.size // max(comparison.expected.shape[-1], 1)
        return value

    @property
    def worst(self) -> tuple[float, str]:
        """Least SNR in dB, and which input and output it belongs to."""
        values = [
            (value, f"{label} ({kind})")
            for label, kinds in self.checked.items()
            for kind, value in kinds.items()
        ]
        return min(values, default=(-LIMIT_DB, "nothing"))

    def passes(self) -> bool:
        """Whether something was compared and every comparison reached the floor."""
        return self.worst[0] >= self.floor_db

    def record(self) -> dict[str, Any]:
        """The record's `accuracy`."""
        return {
            "metric": "snr_db",
            "value": round(self.worst[0], 3),
            "threshold": self.floor_db,
            "reference": self.reference,
            "passed": self.passes(),
            "n_checked": self.results,
            "worst": self.worst[1],
            "inputs": {
                label: {kind: round(value, 3) for kind, value in kinds.items()}
                for label, kinds in self.checked.items()
            },
        }


def _energy(values: Any) -> Any:
    """Sum of squares over the last axis, real or complex, in the wider element type."""
    return (np.abs(values) ** 2).sum(axis=-1)
