"""Places: where each value of a job was written, so that an error can point at it.

A job is read into a tree of nodes that remember their place. Presets and overrides move nodes
from tree to tree, and the place moves with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Node",
    "Place",
    "Way",
    "join",
    "merge",
    "nearest",
    "plain",
    "plant",
    "prune",
    "put",
    "shown",
]

Way = tuple[str | int, ...]
"""Keys and list positions from the root of a document to a node."""

_SHOWN = 48


@dataclass(frozen=True, order=True)
class Place:
    """Where something was written.

    Args:
        layer: 0 the file, 1 a workload's own preset, 2 an override: problems are sorted by it.
        line: Line, counting from 1, or the override's position.
        column: Column, counting from 1.
        label: What a person reads: `job.yaml:12`, or the override itself.
    """

    layer: int
    line: int
    column: int
    label: str


@dataclass(frozen=True)
class Node:
    """A value and its place. In a mapping the place is the key's.

    Args:
        value: A mapping of nodes, a tuple of nodes, or a plain scalar.
        place: Where it was written.
        written: A scalar as it was written: `1.10` stays `1.10`.
    """

    value: dict[str, Node] | tuple[Node, ...] | str | float | bool | None
    place: Place
    written: str = ""

    @property
    def mapping(self) -> dict[str, Node]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def places(self) -> set[Place]:
        """The places of this node and of everything in it."""
        found = {self.place}
        below: Iterable[Node] = ()
        if isinstance(self.value, dict):
            below = self.value.values()
        elif isinstance(self.value, tuple):
            below = self.value
        for node in below:
            found |= node.places()
        return found


def join(way: Iterable[str | int]) -> str:
    """A path as people write it: `inputs[0].source`."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in way).lstrip(".")


def plain(node: Node) -> Any:
    """The value without its places: dict, list and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    return node.value


def plant(value: Any, place: Place) -> Node:
    """A tree of plain values, all of them written in one place."""
    if isinstance(value, Mapping):
        return Node({str(key): plant(item, place) for key, item in value.items()}, place)
    if isinstance(value, (list, tuple)):
        return Node(tuple(plant(item, place) for item in value), place)
    return Node(value, place, value if isinstance(value, str) else json.dumps(value))


def nearest(root: Node, way: Way) -> Node:
    """The node at the end of the way, or the last one on it that exists."""
    node = root
    for step in way:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[str(step)]
        elif isinstance(node.value, tuple) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            break
    return node


def merge(base: Node, over: Node) -> Node:
    """Lay one tree over another: mappings are merged, everything else is replaced."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, base.place)


def prune(root: Node, way: Way) -> Node:
    """The tree without the node at the end of the way; the same tree where there is none."""
    head, *rest = way
    if not isinstance(root.value, dict) or head not in root.value:
        return root
    kept = dict(root.value)
    below = kept.pop(str(head))
    if rest:
        kept = {**root.value, str(head): prune(below, tuple(rest))}
    return Node(kept, root.place)


def put(root: Node, way: Way, node: Node) -> Node:
    """The tree with a node at the end of the way; mappings on the way are made where missing."""
    if not way:
        return node
    head = str(way[0])
    below = put(root.mapping.get(head, Node({}, node.place)), way[1:], node)
    return Node({**root.mapping, head: below}, root.place)


def shown(value: Any) -> str:
    """A value as a sentence names it."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…")
    return json.dumps(value)
