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
    found = _needs_shell(line)
    if found:
        raise ValueError(f"no shell runs this, and {found} needs one\n{_SHELL}")
    if re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        raise ValueError(f"{words[0]!r} is no program\nput variables under `env:`")
    return words


def _needs_shell(line: str) -> str:
    """What in the line only a shell understands; empty if nothing."""
    inside_doubles = "".join(q for q in _QUOTED.findall(line) if q.startswith('"'))
    bare = _QUOTED.sub("''", line)
    operators = re.search(r"&&|\|\||>>|<<|[|&;<>()]", re.sub(r"\\.", "", bare))
    if operators:
        return operators[0]
    expansion = re.search(r"\$\w+|\$[({]|`", re.sub(r"\\.", "", bare + inside_doubles))
    if expansion:
        return expansion[0]
    wildcard = re.search(r"(?:^|\s)(?:~\S*|[^\s'\"]*[*?][^\s'\"]*)", re.sub(r"\\.", "", bare))
    return wildcard[0].strip() if wildcard else ""
