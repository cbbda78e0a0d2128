"""Commands written as one line: split into program and arguments, as a shell would without one.

flyback starts programs itself, without a shell. A line that only a shell understands is refused
with the sentence that says how to ask for one.
"""

from __future__ import annotations

import re
import shlex

__all__ = ["split_command"]

_SHELL = "write [bash, -c, '…'] where a shell is needed"
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")


def split_command(line: str) -> tuple[str, ...]:
    """Split `python train.py --lr 1e-3` into its words.

    Raises:
        ValueError: the line is empty, a quote is open, or it needs a shell; the message is two
            sentences, what and remedy, with a newline between them.
    """
    line = line.strip().replace("\\\n", " ")
    if "\n" in line:
        raise ValueError(
            "several lines in one command\n"
            "put what comes before under `setup:`, or write [bash, -c, '…']"
        )
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise ValueError(f"a quote is never closed: {line!r}\nclose it, or write a list") from error
    if not words:
        raise ValueError("the command is empty\nwrite for example [python, train.py]")
    if found := _operator(line):
        raise ValueError(f"no shell runs this, and {found} needs one\n{_SHELL}")
    if found := _expansion(line):
        raise ValueError(f"no shell runs this, and {found} needs one\n{_SHELL}, or a list of words")
    if re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        raise ValueError(f"{words[0]!r} is no program\nput variables under `env:`")
    return words


def _bare(line: str) -> str:
    """The line without what is quoted or escaped."""
    return re.sub(r"\\.", "", _QUOTED.sub("''", line))


def _operator(line: str) -> str:
    """A pipe, redirection or the like; empty if there is none."""
    match = re.search(r"&&|\|\||>>|<<|[|&;<>()]", _bare(line))
    return match[0] if match else ""


def _expansion(line: str) -> str:
    """A variable, wildcard or home folder; empty if there is none."""
    in_double_quotes = "".join(quote for quote in _QUOTED.findall(line) if quote[0] == '"')
    expanded = _bare(line) + re.sub(r"\\.", "", in_double_quotes)
    if match := re.search(r"\$\w+|\$[({]|`", expanded):
        return match[0]
    match = re.search(r"(?:^|\s)(?:~\S*|[^\s'\"]*[*?][^\s'\"]*)", _bare(line))
    return match[0].strip() if match else ""
