"""What is written for readers is there: rooms, tests and exceptions to rules say why."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = (
    "agent",
    "api",
    "audit",
    "aws",
    "cli",
    "infra",
    "launch",
    "plan",
    "rehearsal",
    "results",
    "spec",
    "stats",
    "store",
    "workloads",
)
NOQA = re.compile(r"#\s*(ruff:\s*)?noqa\b")
NOQA_WITH_REASON = re.compile(r"# (ruff: )?noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*\s+# \S+")
IGNORE = re.compile(r"#\s*type:\s*ignore")
IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[a-z, -]+\]\s+# \S+")


def python_files(root: Path) -> list[Path]:
    """Source and tests."""
    return sorted([*(root / "src").rglob("*.py"), *(root / "tests").rglob("*.py")])


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_takes_gives_and_never_does(source: Path, room: str) -> None:
    """The docstring of each room is its contract, in the same three words."""
    docstring = ast.get_docstring(ast.parse((source / room / "__init__.py").read_bytes())) or ""
    missing = [word for word in ("Takes: ", "Gives: ", "Never: ") if word not in docstring]
    assert missing == [], docstring


def test_the_rooms_are_these(source: Path) -> None:
    """A new room has to be written down here, in the contracts and in the README."""
    assert {path.parent.name for path in source.glob("*/__init__.py")} == set(ROOMS)


def test_every_module_says_what_it_exports(source: Path) -> None:
    """Each module but a bare `__init__` or `__main__` has `__all__`."""
    silent = [
        str(path.relative_to(source))
        for path in sorted(source.rglob("*.py"))
        if not path.name.startswith("__")
        and not any(
            isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
            for node in ast.parse(path.read_bytes()).body
        )
    ]
    assert silent == []


def test_every_test_says_what_it_proves(root: Path) -> None:
    """A test without a docstring leaves the reader to guess when it fails."""
    silent = [
        f"{path.relative_to(root)}:{node.lineno} {node.name}"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_exception_to_a_rule_has_its_reason(root: Path) -> None:
    """`noqa` and `type: ignore` name the rule that they break, and say why.

    Tests are not type-checked; there `type: ignore` only speaks to an editor.
    """
    bare = [
        f"{path.relative_to(root)}:{line} {comment}"
        for path in python_files(root)
        for line, comment in comments(path)
        if (NOQA.search(comment) and not NOQA_WITH_REASON.search(comment))
        or (
            IGNORE.search(comment)
            and not IGNORE_WITH_REASON.search(comment)
            and path.is_relative_to(root / "src")
        )
    ]
    assert bare == []
