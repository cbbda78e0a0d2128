"""Documents: the text of a YAML 1.2 or JSON file to a tree of nodes with their lines.

The scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so `on`,
`off`, `yes`, `no`, dates and `1_000` are text, `1e-3` is a number, and `010` is ten.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyback.errors import JobFileError
from flyback.spec.locate import Node, Place, join
from flyback.spec.problems import Problem
from flyback.spec.syntax import explain

if TYPE_CHECKING:
    from ruamel.yaml.events import Event, MappingStartEvent, ScalarEvent

__all__ = ["At", "parse", "read"]

At = Callable[[int, int], Place]
"""Line and column, counting from 1, to a place."""

_LARGEST_FILE = 1 << 20
_MOST_NODES = 100_000
_DEEPEST = 40
_MOST_DIGITS = 300
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_LONG_KEY = re.compile(r'"(?:[^"\\]|\\.){1000,}"\s*:')  # YAML's keys end at 1024
# JSON allows these raw inside strings; YAML's reader takes them for line breaks or refuses them.
_JSON_RAW = {
    ord("\t"): " ",
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF)},
}


def read(path: Path) -> tuple[Node, list[Problem]]:
    """Read a job file.

    Returns:
        The document's mapping, and problems that do not hinder reading on (duplicate keys).

    Raises:
        JobFileError: the file is missing, unreadable or no YAML or JSON mapping.
    """
    text = _decode(_bytes(path), str(path))

    def at(line: int, column: int) -> Place:
        return Place(0, line, column, f"{path}:{line}")

    is_json = path.suffix.lower() == ".json" or _looks_like_json(text)
    root, problems = parse(_checked_json(text, at) if is_json else text, at)
    if root.value is None:
        raise JobFileError(
            "the file is empty",
            where=str(path),
            remedy="begin with `name:` and `workload:` or `command:`",
        )
    if not isinstance(root.value, dict):
        raise JobFileError(
            "the file is no mapping of `key: value` lines",
            where=root.place.label,
            remedy="begin with `name:` and `workload:` or `command:`",
        )
    return root, problems


def parse(text: str, at: At) -> tuple[Node, list[Problem]]:
    """Parse one YAML document.

    Raises:
        JobFileError: the text is no YAML, or uses what a job file may not.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml: Any = YAML(typ="safe", pure=True)
    builder = _Builder(at)
    try:
        return builder.document(yaml.parse(text)), builder.problems
    except YAMLError as error:
        raise _malformed(error, text, at) from error
    except (ValueError, OverflowError) as error:  # chr() of an escape that names no character
        what = "an escape in double quotes names no character"
        raise _refuse(at(1, 1), what, "write the character itself") from error


class _Builder:
    """Turns parser events into nodes."""

    def __init__(self, at: At) -> None:
        self.problems: list[Problem] = []
        self._at = at
        self._events: Iterator[Event] = iter(())
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._made = 0
        self._way: list[str | int] = []

    def document(self, events: Iterator[Event]) -> Node:
        from ruamel.yaml.events import DocumentStartEvent

        self._events = events
        next(events)
        start = next(events)
        if not isinstance(start, DocumentStartEvent):
            return Node(None, self._at(1, 1))
        root = self._node(next(events))
        next(events)
        following = next(events)
        if isinstance(following, DocumentStartEvent):
            raise _refuse(
                self._place(following),
                "a second document begins here",
                "one job per file: remove the line `---`",
            )
        return root

    def _node(self, event: Event) -> Node:
        from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent

        place = self._place(event)
        if len(self._way) > _DEEPEST:
            raise _refuse(place, f"nested deeper than {_DEEPEST} levels")
        if isinstance(event, AliasEvent):
            return self._alias(event, place)
        before = self._made
        self._count(1, place)
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, place)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, place)
        else:
            node = self._sequence(event, place)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (node, self._made - before)
        return node

    def _alias(self, event: Event, place: Place) -> Node:
        name = str(getattr(event, "anchor", ""))
        if name not in self._anchors:
            raise _refuse(
                place,
                f"*{name} stands for an anchor that is not set above",
                f"set it with &{name}, or put the text in quotes"
                if name.isidentifier()
                else "put the text in quotes",
            )
        node, size = self._anchors[name]
        self._count(size, place)
        return Node(node.value, place, node.written)

    def _count(self, more: int, place: Place) -> None:
        self._made += more
        if self._made > _MOST_NODES:
            raise _refuse(place, f"more than {_MOST_NODES} values")

    def _mapping(self, event: MappingStartEvent, place: Place) -> Node:
        from ruamel.yaml.events import MappingEndEvent

        _untagged(event, place)
        entries: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(key := next(self._events), MappingEndEvent):
            name, at, plain_key = self._key(key)
            self._way.append(name)
            value = self._node(next(self._events))
            value = Node(value.value, at, value.written)
            if name == "<<" and plain_key:
                merged.extend(_mappings(value))
            elif name in entries:
                what = f"stands twice, first on line {entries[name].place.line}"
                self.problems.append(Problem(at, join(self._way), what, "remove one of them"))
            else:
                entries[name] = value
            self._way.pop()
        for node in merged:
            entries = {**node.mapping, **entries}
        return Node(entries, place)

    def _key(self, event: Event) -> tuple[str, Place, bool]:
        from ruamel.yaml.events import AliasEvent, ScalarEvent

        place = self._place(event)
        if isinstance(event, AliasEvent):
            node = self._alias(event, place)
        elif isinstance(event, ScalarEvent):
            node = self._node(event)
        else:
            node = Node((), place)
        if isinstance(node.value, (dict, tuple)):
            raise _refuse(place, "a key must be plain text", "write `key: value`")
        return node.written, place, getattr(event, "style", None) is None

    def _sequence(self, event: Event, place: Place) -> Node:
        from ruamel.yaml.events import SequenceEndEvent

        _untagged(event, place)
        items: list[Node] = []
        while not isinstance(item := next(self._events), SequenceEndEvent):
            self._way.append(len(items))
            items.append(self._node(item))
            self._way.pop()
        return Node(tuple(items), place)

    def _scalar(self, event: ScalarEvent, place: Place) -> Node:
        written = _paired(event.value, place)
        if event.tag in _STRING_TAGS or (event.tag is None and event.style is not None):
            return Node(written, place, written)
        _untagged(event, place)
        return Node(_resolve(written, place), place, written)

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return self._at(mark.line + 1, mark.column + 1)


def _resolve(written: str, place: Place) -> str | float | bool | None:
    if written in _CONSTANTS:
        return _CONSTANTS[written]
    if _INTEGER.fullmatch(written):
        if len(written) > _MOST_DIGITS:
            raise _refuse(place, f"a number of more than {_MOST_DIGITS} digits")
        base = {"0o": 8, "0x": 16}.get(written[:2], 10)
        return int(written, base)
    if _FLOAT.fullmatch(written) or _NO_NUMBER.fullmatch(written):
        number = math.nan if _NO_NUMBER.fullmatch(written) else float(written)
        if not math.isfinite(number):
            raise _refuse(
                place,
                f"{written} is no finite number",
                "write a number, or put the text in quotes",
            )
        return number
    return written


def _mappings(node: Node) -> list[Node]:
    nodes = node.value if isinstance(node.value, tuple) else (node,)
    for item in nodes:
        if not isinstance(item.value, dict):
            raise _refuse(node.place, "<< takes mappings only", "write `<<: *name`")
    return list(nodes)


def _untagged(event: Any, place: Place) -> None:
    if event.tag is not None:
        name = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise _refuse(
            place,
            f"the tag {name} is not read here",
            "remove it; put text that begins so in quotes",
        )


def _paired(text: str, place: Place) -> str:
    """JSON writes a character beyond U+FFFF as two escapes; put them together."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise _refuse(place, "half of a surrogate pair stands alone") from error


def _malformed(error: Exception, text: str, at: At) -> JobFileError:
    line, column, what, remedy = explain(error, text)
    return _refuse(at(line, column), what, remedy)


def _refuse(place: Place, what: str, remedy: str = "") -> JobFileError:
    return JobFileError(what, where=place.label, remedy=remedy)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise JobFileError(
            "there is no such file", where=str(path), remedy=_neighbours(path)
        ) from error
    except IsADirectoryError as error:
        raise JobFileError(
            "this is a folder", where=str(path), remedy="name the job file in it"
        ) from error
    except OSError as error:
        raise JobFileError(
            f"the file can't be read: {error.strerror or error}", where=str(path)
        ) from error
    if len(data) > _LARGEST_FILE:
        raise JobFileError(
            "larger than 1 MiB: this is no job file",
            where=str(path),
            remedy="data goes into `inputs:`, the job file only names it",
        )
    return data


def _neighbours(path: Path) -> str:
    from flyback.spec.problems import closest, listed

    try:
        near = sorted(
            p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".json")
        )
    except OSError:
        return f"there is no folder {path.parent} either"
    guess = closest(path.name, near)
    if guess:
        return f"did you mean {path.parent / guess}?"
    if near:
        return f"{path.parent} holds {listed(near[:5])}"
    return "give the path of a job file (.yaml or .json)"


def _decode(data: bytes, where: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise JobFileError("the file is UTF-16, not UTF-8", where=where, remedy="save it as UTF-8")
    if b"\0" in data:
        raise JobFileError(
            "binary data, not text",
            where=where,
            remedy="give the path of a job file (.yaml or .json)",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise JobFileError(
            f"byte 0x{data[error.start]:02x} is no UTF-8",
            where=f"{where}:{line}",
            remedy="save the file as UTF-8",
        ) from error


def _looks_like_json(text: str) -> bool:
    """A YAML flow mapping begins with a brace too; it is JSON when a JSON parser takes it."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _checked_json(text: str, at: At) -> str:
    """The text as YAML reads it, once a JSON parser has found it to be JSON."""
    if not text.strip():
        return ""

    def no_constant(name: str) -> None:
        match = re.search(rf"[\[:,]\s*({name})", text)
        line = 1 + text.count("\n", 0, match.start(1) if match else 0)
        raise _refuse(at(line, 1), f"{name} is no finite number", "write a number")

    try:
        json.loads(text, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        raise _refuse(
            at(error.lineno, error.colno),
            f"no JSON: {what} (column {error.colno})",
            "mend it, or name the file .yaml",
        ) from error
    except RecursionError as error:
        raise _refuse(at(1, 1), f"nested deeper than {_DEEPEST} levels") from error
    if long := _LONG_KEY.search(text):
        line = 1 + text.count("\n", 0, long.start())
        raise _refuse(at(line, 1), "a key of more than 1000 characters", "shorten it")
    return text.translate(_JSON_RAW)
