"""Comparing two sets of results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flyback.api.history import run_ids
from flyback.api.wiring import local_home
from flyback.results.compare import compare as compare_results
from flyback.results.compare import open_results
from flyback.spec.comparison import Comparison
from flyback.spec.paths import RunPaths

__all__ = ["compare"]


def compare(
    a: str, b: str, *, least_effect: float = 0.03, across: Iterable[str] = ()
) -> Comparison:
    """Compare the results B with A.

    Args:
        a: A run's id, a folder, or a file of result lines.
        b: As `a`.
        least_effect: Changes smaller than this share are none.
        across: Fields of the fingerprint that may differ.

    Raises:
        UserError: a side has no results, or the fingerprints differ.
    """
    return compare_results(
        open_results(_place(a)), open_results(_place(b)), least_effect=least_effect, across=across
    )


def _place(name: str) -> Path:
    if not Path(name).exists() and name in run_ids():
        return local_home() / RunPaths(name).prefix
    return Path(name)
