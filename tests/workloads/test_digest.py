"""A pass that is interrupted and gone on with ends as one that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flyback.workloads.__main__ import main
from flyback.workloads.stopping import Stop

WORDS = ["spectral", "--json", "--parameters", "mode=digest", "nfft=256", "frames=6400"]


class StopAfter(Stop):
    """Asks to end once it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self._left -= 1
        return self._left < 0


def run(capsys: pytest.CaptureFixture[str], *words: str, stop: Stop | None = None) -> Any:
    """Exit code, and the result where there is one."""
    code = main([*WORDS, *words], stop)
    lines = capsys.readouterr().out.splitlines()
    return code, json.loads(lines[-1]) if code == 0 else None


@pytest.mark.parametrize("looks", [30, 31, 77, 200, 399])
def test_a_resumed_digest_equals_an_uninterrupted_one(
    looks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wherever it was cut, it goes on at that block, and its hash is the same."""
    _, plain = run(capsys)
    monkeypatch.setenv("FLYBACK_CHECKPOINT_DIR", str(tmp_path))
    assert run(capsys, stop=StopAfter(looks))[0] == 75
    code, resumed = run(capsys)
    assert code == 0
    assert resumed["values"]["digest"] == plain["values"]["digest"]
    assert resumed["values"]["resumed_at_block"] > 0
    assert plain["values"]["resumed_at_block"] == 0


def test_a_place_of_other_parameters_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was kept for one signal is nothing to another."""
    monkeypatch.setenv("FLYBACK_CHECKPOINT_DIR", str(tmp_path))
    run(capsys)
    _, other = run(capsys, "seed=1")
    assert other["values"]["resumed_at_block"] == 0
