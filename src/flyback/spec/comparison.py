"""Comparison: what changed between two sets of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CellComparison", "Comparison"]


@dataclass(frozen=True, kw_only=True)
class CellComparison:
    """One cell, before and after.

    Args:
        workload: Its name.
        params: Its parameters.
        verdict: Of B against A, after the correction for many cells; `missing` where one side has
            no such row, `incomparable` where a side has no samples.
        ratio: How long B takes in units of A.
        low: Lower end of the 99 % interval; of all looks together where there were several.
        high: Upper end.
        a_p50_ns: Median of A.
        b_p50_ns: Median of B.
        method: `paired`, `control` (through the calibration cell) or `direct`.
        reason: Why there is no ratio, or what weakens it.
        failed: Whether there is no ratio though there should be one: a side has no figures, or B
            lacks the cell. What was skipped on both sides is no failure.
    """

    workload: str
    params: Mapping[str, Any] = field(default_factory=dict)
    verdict: Literal["faster", "slower", "same", "undecided", "missing", "incomparable"]
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    a_p50_ns: int | None = None
    b_p50_ns: int | None = None
    method: str = ""
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sets of results.

    Args:
        a: Where the first lies.
        b: Where the second lies.
        least_effect: Smaller changes are none.
        confidence: Of the intervals, and of all verdicts together.
        across: Fields of the fingerprint that may differ.
        cells: One per cell of either side.
    """

    schema: int = 1
    a: str
    b: str
    least_effect: float
    confidence: float
    across: tuple[str, ...] = ()
    cells: tuple[CellComparison, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether any cell is slower."""
        return any(cell.verdict == "slower" for cell in self.cells)
