"""Modules, functions and signatures stay small, and no drawer is called miscellaneous."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE_LINES = {"src": 400, "tests": 500}  # a test module may hold a longer list of cases
FUNCTION_LINES = 50
PARAMETERS = 6
DRAWERS = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "shared"}


def functions(folder: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below a folder, with the place where it stands."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.relative_to(folder)}:{node.lineno} {node.name}", node


def is_verb(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether click calls it, with one argument for each flag of the verb."""
    return any(".command(" in ast.unparse(decorator) for decorator in node.decorator_list)


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller has to know: all but `self`, `cls`, `*args` and `**kwargs`."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_modules_fit_on_a_few_screens(root: Path, folder: str) -> None:
    """No module is longer than 400 lines, no test module than 500."""
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (root / folder).rglob("*.py")
    }
    assert {path: n for path, n in lengths.items() if n > MODULE_LINES[folder]} == {}


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, without the docstring: nobody should save on that."""
    docstring = node.body[0] if ast.get_docstring(node) else None
    spared = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - spared


def test_functions_fit_on_one_screen(source: Path) -> None:
    """No function is longer than 50 lines, its docstring not counted."""
    lengths = {place: lines(node) for place, node in functions(source)}
    assert {place: n for place, n in lengths.items() if n > FUNCTION_LINES} == {}


def test_functions_take_six_parameters_at_most(source: Path) -> None:
    """More belong into a frozen dataclass; only a verb of the command line has its flags."""
    wide = {place: parameters(node) for place, node in functions(source) if not is_verb(node)}
    assert {place: n for place, n in wide.items() if n > PARAMETERS} == {}


def test_no_module_is_a_drawer(source: Path) -> None:
    """A module is named after what it does, so nothing is called utils, helpers or manager."""
    drawers = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if DRAWERS & set(path.stem.lower().strip("_").split("_"))
    ]
    assert drawers == []
