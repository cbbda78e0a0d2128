"""What runs on a machine runs on the oldest Python that is promised: 3.11.0."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from flyback.infra import userdata

SOURCES = Path(__file__).resolve().parents[2] / "src"
_PROGRAMS = {
    "boot.py": userdata.boot_program(),
    **{str(path.relative_to(SOURCES)): path.read_text() for path in SOURCES.rglob("*.py")},
}


@pytest.mark.parametrize("name", [name for name in _PROGRAMS if "tarfile" in _PROGRAMS[name]])
def test_archives_are_opened_as_python_3_11_0_can(name: str) -> None:
    """`filter=` came with 3.11.4 (tarfile's documentation); Debian 12 has 3.11.2."""
    calls = [node for node in ast.walk(ast.parse(_PROGRAMS[name])) if isinstance(node, ast.Call)]
    for call in calls:
        if getattr(call.func, "attr", "") in {"extract", "extractall"}:
            assert "filter" not in [keyword.arg for keyword in call.keywords]
