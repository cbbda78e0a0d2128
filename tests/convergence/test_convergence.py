"""Whatever call a command is cut off at, the same command again ends where it would have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_proof_converge(bench: Any, sweep: Callable[[Sequence[Any]], list[Any]]) -> None:
    """`up`, `run` and `down`, cut off at each call in four ways, converge when run again."""
    cases = sweep(bench.cases())
    failed = bench.not_converging(cases)
    converged = len(cases) - len(failed)
    calls = len({(case.command.name, case.k) for case in cases})
    print(f"PROOF converge calls={calls} cases={len(cases)} converged={converged}")
    assert not failed, "\n".join(failed[:5])
