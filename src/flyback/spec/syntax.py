"""The YAML parser's complaints in plain words."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["explain"]

_SENTENCES = (
    (
        r"found character '\\t'",
        "a tab indents this line",
        "indent with spaces: YAML takes no tabs",
    ),
    (
        r"found character '(.)' that cannot start",
        "a value can't begin with {0}",
        "put the value in quotes",
    ),
    (
        r"found unexpected end of stream",
        "the quote that opens here is never closed",
        "close it, or double a quote that belongs to the text",
    ),
    (
        r"expected ',' or '([\]}])'",
        "the bracket that opens here is not closed with {0}",
        "close it, and put commas between the entries",
    ),
    (
        r"expected the node content, but found '([\]},])'",
        "{0} closes nothing",
        "remove it, or put the value in quotes",
    ),
    (
        r"expected <block end>, but found '(-|\?)'",
        "list entries (`- …`) and `key: value` lines stand side by side",
        "indent the list under its key",
    ),
    (
        r"expected <block end>|expected '<document start>'",
        "the indentation fits none of the lines above",
        "begin the line in the column of its neighbours",
    ),
    (
        r"could not find expected ':'",
        "a line without `key: value`",
        "write a colon and a space after the key, or indent continued text",
    ),
    (
        r"expected a comment or a line break|expected (chomping|indentation)",
        "`|` and `>` are followed by a line break",
        "put the text in quotes, or on the next line",
    ),
    (
        r"escape",
        "an unknown escape in double quotes",
        r"write \\ for a backslash, or use single quotes",
    ),
)


def explain(error: Any, text: str) -> tuple[int, int, str, str]:
    """Line, column, what is wrong and the remedy of a ruamel.yaml error."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "")
    if mark is None:
        return _unprintable(error, text)
    if problem.startswith("mapping values are not allowed"):
        return mark.line + 1, mark.column + 1, *_stray_colon(text, mark.line)
    for pattern, what, remedy in _SENTENCES:
        if match := re.search(pattern, problem):
            opened = getattr(error, "context_mark", None)
            if "opens here" in what and opened is not None:
                mark = opened
            return mark.line + 1, mark.column + 1, what.format(*match.groups()), remedy
    return mark.line + 1, mark.column + 1, f"no YAML: {problem}", "put text with signs in quotes"


def _stray_colon(text: str, line: int) -> tuple[str, str]:
    lines = text.splitlines()
    if line < len(lines) and len(re.findall(r":(?=\s|$)", lines[line])) > 1:
        return "a second colon on this line", "put the value in quotes"
    return (
        "this line is not a key of the lines above",
        "end the line above with a colon, or begin this one in the column of its neighbours",
    )


def _unprintable(error: Any, text: str) -> tuple[int, int, str, str]:
    position = getattr(error, "position", 0)
    character = getattr(error, "character", "")
    code = ord(character) if isinstance(character, str) and len(character) == 1 else character
    line = 1 + text.count("\n", 0, position)
    what = f"a control character (U+{code or 0:04X})"
    return line, 1, what, 'remove it, or write it as an escape in double quotes ("\\u001b")'
