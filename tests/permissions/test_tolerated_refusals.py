"""Each call of flyback's own refused in turn: what ends otherwise, and what is tolerated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from trials import SCENARIOS, Stage, callers

from flyback.audit.iam.tolerated import tolerated

Pair = tuple[str, str]


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_proof_iam_outcomes(
    machine_images: Path,
    monkeypatch: pytest.MonkeyPatch,
    sweep: Callable[[Sequence[Any]], list[Any]],
    tmp_path: Path,
) -> None:
    """The list of tolerated refusals is whole, and holds nothing else.

    All of them at once change no scenario's end, and each is met by one; any other call of
    flyback's own, refused alone, makes one fail. What CloudFormation calls too is left to it: a
    stack fails.
    """
    stage = Stage(tmp_path, machine_images, monkeypatch)
    listed = set(tolerated())
    made: dict[Pair, list[str]] = {}
    through: set[str] = set()
    met: set[Pair] = set()
    for name in SCENARIOS:
        wrong, asked = stage.play(name, listed)
        assert wrong == "", name
        met |= _refused(asked) & listed
        through |= {item.action for item in asked if item.via == "cloudformation"}
        for pair in callers(asked):
            made.setdefault(pair, []).append(name)
    for name in SCENARIOS:  # a call that follows on another one comes where that is not refused
        if left := listed - met:
            wrong, asked = stage.play(name, left)
            assert wrong == "", name
            met |= _refused(asked) & listed
    assert met == listed
    decisive = {pair for pair in made if pair not in listed and pair[1] not in through}
    unlisted: list[Pair] = []
    for pair in sweep(sorted(decisive)):
        ends = (stage.play(name, [pair]) for name in made[pair])
        if not any(wrong and pair in _refused(asked) for wrong, asked in ends):
            unlisted.append(pair)
    print(
        f"PROOF iam-outcomes decisive={len(decisive)} tolerated={len(listed)} "
        f"unlisted={len(unlisted)}"
    )
    assert unlisted == []


def _refused(asked: Any) -> set[Pair]:
    return callers(item for item in asked if not item.allowed)
