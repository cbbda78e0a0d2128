"""Records of many processes in one file: none lost, none torn."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from flyback.spec.jsonlines import append_line, read_lines
from flyback.spec.result import Result

WRITERS, CONFIGURATIONS = 8, 500


def write(path: Path, writer: int) -> None:
    """Every eighth configuration, in lines longer than a page."""
    for number in range(writer, CONFIGURATIONS, WRITERS):
        append_line(path, Result(cell=number, params={"pad": "x" * 5000}, id=f"id{number}"))


def test_500_configurations_in_500_out(tmp_path: Path) -> None:
    """Eight processes write at once; each row is there, once, whole."""
    path = tmp_path / "deep" / "results.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(path, i)) for i in range(WRITERS)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(120)
        assert each.exitcode == 0
    rows = read_lines(Result, path)
    assert sorted(row.cell for row in rows) == list(range(CONFIGURATIONS))
    assert len({row.id for row in rows}) == CONFIGURATIONS


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    """File and line; empty lines are none."""
    path = tmp_path / "r.jsonl"
    append_line(path, Result())
    path.write_text(path.read_text() + "\n{")
    with pytest.raises(ValueError, match=r"r\.jsonl:3: "):
        read_lines(Result, path)
