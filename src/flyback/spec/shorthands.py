"""Shorthands of a job file, written out before its types are checked.

- `command` and the entries of `setup` may be one line of text, split as a shell splits words.
- An entry of `inputs` may be the source alone; it appears under its last name.
- A sweep may be a range: `nfft: range(1, 5)`.
- Where text is expected, numbers and true/false are taken as they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from flyback.spec.commandline import split_command
from flyback.spec.fields import TEXTUAL
from flyback.spec.locate import Node, Way, join, plant
from flyback.spec.problems import Problem
from flyback.spec.ranges import RANGE, expand_range

__all__ = ["expand"]

Change = Callable[[Node, Way], Node]


def expand(root: Node) -> tuple[Node, list[Problem], set[str]]:
    """Write the shorthands of a job out.

    Returns:
        The job in its full form, what is wrong with the shorthands, and the top-level keys that
        are: they hold empty lists in their place.
    """
    problems: list[Problem] = []
    broken: set[str] = set()

    def refuse(node: Node, way: Way, message: str) -> Node:
        what, _, remedy = message.partition("\n")
        problems.append(Problem(node.place, join(way), what, remedy))
        broken.add(str(way[0]))
        return Node((), node.place)  # an empty list has the right shape: one problem, not two

    def command(node: Node, way: Way) -> Node:
        if not isinstance(node.value, str):
            return node
        try:
            return plant(split_command(node.value), node.place)
        except ValueError as error:
            return refuse(node, way, str(error))

    def sweep(node: Node, way: Way) -> Node:
        if not (isinstance(node.value, str) and RANGE.fullmatch(node.value.strip())):
            return node
        try:
            return plant(expand_range(node.value), node.place)
        except ValueError as error:
            return refuse(node, way, str(error))

    for way in TEXTUAL:
        root = _change(root, way, _as_written)
    root = _change(root, ("command",), command)
    root = _change(root, ("setup",), lambda node, way: _each(node, way, command))
    root = _change(root, ("inputs",), lambda node, way: _each(node, way, _input))
    root = _change(root, ("sweep",), lambda node, way: _each(node, way, sweep))
    return root, problems, broken


def _change(root: Node, way: Way, change: Change, done: Way = ()) -> Node:
    if not way:
        return change(root, done)
    head = str(way[0])
    if head not in root.mapping:
        return root
    below = _change(root.mapping[head], way[1:], change, (*done, head))
    return Node({**root.mapping, head: below}, root.place)


def _each(node: Node, way: Way, change: Change) -> Node:
    if isinstance(node.value, dict):
        entries = {key: change(item, (*way, key)) for key, item in node.value.items()}
        return Node(entries, node.place)
    if isinstance(node.value, tuple):
        items = tuple(change(item, (*way, i)) for i, item in enumerate(node.value))
        return Node(items, node.place)
    return node


def _as_written(node: Node, way: Way) -> Node:
    if isinstance(node.value, (dict, tuple)):
        return _each(node, way, _as_written)
    if node.value is None or isinstance(node.value, str):
        return node
    return Node(node.written, node.place, node.written)


def _input(node: Node, _: Way) -> Node:
    if not isinstance(node.value, str):
        return node
    name = PurePosixPath(node.value).name
    return plant({"source": node.value, "path": name}, node.place) if name else node
