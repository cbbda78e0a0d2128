"""Comparing two sets of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from flyback.api.history import run_ids
from flyback.api.wiring import local_home
from flyback.errors import UserError
from flyback.results.compare import compare as compare_results
from flyback.results.compare import open_results
from flyback.results.history import CellHistory, histories
from flyback.spec.comparison import Comparison
from flyback.spec.paths import RunPaths

__all__ = ["compare", "compare_history"]


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


def compare_history(places: Sequence[str] = (), *, least_effect: float = 0.03) -> list[CellHistory]:
    """Where the level of each cell changed over time.

    Args:
        places: Ids of runs, folders or files of result lines; none takes all runs here.
        least_effect: Changes smaller than this share are none.

    Raises:
        UserError: a place has no results, or there are none at all.
    """
    chosen = [_place(name) for name in places]
    if not places:
        runs = [_place(run_id) for run_id in run_ids()]
        chosen = [folder for folder in runs if (folder / "results.jsonl").exists()]
    found = histories([open_results(place) for place in chosen], least_effect=least_effect)
    if not found:
        raise UserError(
            "there are no results", where="history", remedy="name folders, or collect a run first"
        )
    return found


def _place(name: str) -> Path:
    if not Path(name).exists() and name in run_ids():
        return local_home() / RunPaths(name).prefix
    return Path(name)
