"""Whatever call a command is cut off at, the same command again ends where it would have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_proof_converge(bench: Any, sweep: Callable[[Sequence[Any]], list[Any]]) -> None:
    """`up`, `run` and `down` in each of their forms, cut off at each call, converge when repeated.

    A case counts only where the call that was to fail did fail.
    """
    cases = sweep(bench.cases())
    failed = bench.not_converging(cases)
    converged = len(cases) - len(failed)
    calls = len({(case.command.name, case.k) for case in cases})
    commands = len({case.command.name for case in cases})
    modes = len({case.mode for case in cases})
    print(
        f"PROOF converge calls={calls} cases={len(cases)} converged={converged} "
        f"commands={commands} modes={modes}"
    )
    assert not failed, "\n".join(failed[:5])
