"""Overrides of a job on the command line: `key=value`, `key=a,b`, `+key=value`, `~key`.

The value is YAML, as in the job file. Commas outside brackets and quotes, and `range(…)`, make a
sweep. A name that is no key of a job file is a parameter: `nfft=4096` is `parameters.nfft=4096`.
Overrides apply from left to right, over the preset; the later one decides.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flyback.errors import JobFileError
from flyback.spec.document import parse
from flyback.spec.fields import FREE, SECTIONS, TOP, meant, unknown_remedy
from flyback.spec.locate import Node, Place, plain, plant, prune, put
from flyback.spec.presets import settle
from flyback.spec.problems import Problem, closest, listed
from flyback.spec.ranges import RANGE, expand_range

__all__ = ["Override", "apply_overrides", "format_override", "parse_override"]

_STEP = r"[^\s.=+~][^\s.=]*"
_OVERRIDE = re.compile(
    rf"(?P<sign>[+~]?)(?P<key>{_STEP}(?:\.{_STEP})*)(?:=(?P<value>.*))?", re.DOTALL
)
_SURELY, _LIKELY = 0.85, 0.65
_LISTS = (("command",), ("setup",), ("inputs",), ("outputs",), ("resources", "any_of"))
_OPEN = {"[": "]", "{": "}", "(": ")"}
_FORM = "write key=value, +key=value or ~key"
# YAML's reader refuses these, or takes them for line breaks.
_ESCAPED = {c: f"\\u{c:04x}" for c in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)}
_ESCAPED |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


@dataclass(frozen=True, kw_only=True)
class Override:
    """One override.

    Args:
        action: `set` a key that is known, `add` one that is not there, `remove` one that is.
        way: The key's path.
        values: One value, or those of a sweep; none for `remove`.
        sweep: Whether the values are swept over; a sweep may have one value (`range(1, 2)`).
    """

    action: Literal["set", "add", "remove"]
    way: tuple[str, ...]
    values: tuple[Any, ...] = ()
    sweep: bool = False


def parse_override(text: str) -> Override:
    """Read one override.

    Raises:
        JobFileError: the text is no override; `where` is the text.
    """
    return _read(text, Place(2, 1, 1, text))[0]


def format_override(override: Override) -> str:
    """Write an override so that `parse_override` gives it back.

    Raises:
        ValueError: a value is no JSON.
    """
    sign = {"set": "", "add": "+", "remove": "~"}[override.action]
    key = sign + ".".join(override.way)
    if override.action == "remove":
        return key
    if not override.sweep:
        return f"{key}={_format_value(override.values[0])}"
    if len(override.values) == 1:
        return f"{key}={_format_value(override.values[0])},"
    return f"{key}={','.join(map(_format_value, override.values))}"


def apply_overrides(
    body: Node, overrides: Sequence[str], workload_parameters: Collection[str]
) -> tuple[Node, list[Problem]]:
    """Apply overrides to a job, from left to right.

    Args:
        body: The job, its preset applied.
        overrides: What the person wrote.
        workload_parameters: Names that the job's workload takes, beside those in the job.

    Returns:
        The job, and what is wrong with overrides that were passed over.
    """
    problems: list[Problem] = []
    for number, text in enumerate(overrides, start=1):
        place = Place(2, number, 1, _label(text))
        try:
            override, value = _read(text, place)
            body = _Target(body, workload_parameters).apply(override, value, place)
        except JobFileError as error:
            problems.append(Problem(place, "", error.what, error.remedy))
    return body, problems


def _read(text: str, place: Place) -> tuple[Override, Node]:
    match = _OVERRIDE.fullmatch(text)
    if match is None:
        raise _wrong(place, "this is no override", _FORM)
    way = tuple(match["key"].split("."))
    nothing = Node(None, place)
    if match["sign"] == "~":
        if match["value"] is not None:
            raise _wrong(place, "~ removes a key and takes no value", f"write ~{match['key']}")
        return Override(action="remove", way=way), nothing
    if match["value"] is None:
        raise _wrong(place, "there is no value", _FORM)
    node, sweep = _values(match["value"], match["key"], place)
    action: Literal["set", "add"] = "add" if match["sign"] else "set"
    values = tuple(plain(node)) if sweep else (plain(node),)
    return Override(action=action, way=way, values=values, sweep=sweep), node


def _values(text: str, key: str, place: Place) -> tuple[Node, bool]:
    parts = _split(text)
    if len(parts) > 1 and not parts[-1].strip():
        del parts[-1]  # as in Python, `a,` is a list of one
    elif len(parts) == 1 and not RANGE.fullmatch(text.strip()):
        return _value(text, key, place), False
    nodes: list[Node] = []
    for part in parts:
        if RANGE.fullmatch(part.strip()):
            try:
                nodes.extend(plant(value, place) for value in expand_range(part))
            except ValueError as error:
                raise _wrong(place, *str(error).split("\n")) from error
        else:
            nodes.append(_value(part, key, place))
    return Node(tuple(nodes), place), True


def _value(text: str, key: str, place: Place) -> Node:
    if not text.strip():
        raise _wrong(
            place, "there is no value", f"write {key}='\"\"' for empty text, {key}=null for nothing"
        )
    node, problems = parse(text, lambda _line, _column: place)
    if problems:
        raise _wrong(place, problems[0].sentence, problems[0].remedy)
    if re.search(r"(^|\s)#", text) and not re.search(r"['\"]", text):
        raise _wrong(place, "# begins a comment here", f"put the value in quotes: {key}='\"…\"'")
    return node


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts = [""]
    closing: list[str] = []
    quote = ""
    escaped = False
    for character in text:
        if quote:
            ends = character == quote and not escaped
            escaped = quote == '"' and character == "\\" and not escaped
            quote = "" if ends else quote
        elif character in "'\"" and (parts[-1].strip() or ",")[-1] in ",:[{(":
            quote = character  # only where a value begins: the quote in `it's` is a letter
        elif character in _OPEN:
            closing.append(_OPEN[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character == "," and not closing:
            parts.append("")
            continue
        parts[-1] += character
    return parts


def _format_value(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.translate(_ESCAPED)


def _label(text: str) -> str:
    """What an error shows of an override: all of it, but no secret that was put there."""
    key, _, value = text.partition("=")
    return f"{key}=…" if value and key.lstrip("+~").startswith("secrets") else text


def _wrong(place: Place, what: str, remedy: str = "") -> JobFileError:
    return JobFileError(what, where=place.label, remedy=remedy)


class _Target:
    """A job that an override is applied to."""

    def __init__(self, body: Node, workload_parameters: Collection[str]) -> None:
        self._body = body
        sections = [body.mapping[s].mapping for s in ("parameters", "sweep") if s in body.mapping]
        written = {name for section in sections for name in section}
        self._parameters = sorted({*workload_parameters, *written})
        self._shipped = bool(workload_parameters)  # a shipped workload takes no others

    def apply(self, override: Override, value: Node, place: Place) -> Node:
        way = self._full(override, place)
        if override.action == "remove":
            return self._remove(way, place)
        if override.action == "add":
            self._absent(way, override, place)
        else:
            self._known(way, place)
        if override.sweep:
            way = self._swept(way, override, place)
        body = put(self._body, way, value)
        if way[0] in ("parameters", "sweep"):
            names = value.mapping if len(way) == 1 else (way[1],)
            body = settle(body, way[0], names)
        return body

    def _full(self, override: Override, place: Place) -> tuple[str, ...]:
        """The whole path: a name that is no key of a job file is a parameter."""
        head, *rest = override.way
        if head in TOP:
            self._descend(override.way, place)
            return override.way
        adds = override.action == "add"
        guess = meant(head, "", self._parameters, _SURELY if adds else _LIKELY)
        if head in self._parameters or (
            adds and (guess or "parameters.").startswith("parameters.")
        ):
            return ("parameters", head, *rest)
        raise _wrong(place, f"there is no {head!r}", self._remedy(head, guess, adds=adds))

    def _remedy(self, head: str, guess: str | None, *, adds: bool) -> str:
        if guess is not None and adds:
            return f"did you mean {guess}? +parameters.{head}=… adds a parameter of that name"
        if guess is not None:
            return f"did you mean {guess.removeprefix('parameters.')}?"
        listing = f"the parameters are {listed(self._parameters)}" if self._parameters else ""
        if self._shipped:
            return listing
        return f"{listing}; +{head}=… adds one" if listing else f"+{head}=… adds a parameter"

    def _descend(self, way: tuple[str, ...], place: Place) -> None:
        head, *rest = way
        if not rest or head == "parameters":
            return
        section = ".".join(way[:-1])
        if head in FREE:
            if len(rest) > 1:
                raise _wrong(place, f"{section} holds one value, not keys", f"write {section}=…")
        elif head in ("resources", "spot"):
            if rest[0] not in SECTIONS[head]:
                remedy = unknown_remedy(rest[0], head)
                raise _wrong(place, f"there is no {head}.{rest[0]}", remedy)
            if len(rest) > 1:
                raise _wrong(place, f"{section} holds one value, not keys", f"write {section}=…")
        else:
            raise _wrong(place, f"{head} has no keys of its own", f"write {head}=…, as a whole")

    def _at(self, way: tuple[str, ...]) -> Node | None:
        node = self._body
        for step in way:
            if step not in node.mapping:
                return None
            node = node.mapping[step]
        return node

    def _known(self, way: tuple[str, ...], place: Place) -> None:
        """A key that a person chose must be there; one that flyback knows need not."""
        if len(way) == 1 or way[0] not in FREE or self._at(way) is not None:
            return
        section, name, *deeper = way
        known: Collection[str] = self._body.mapping.get(section, Node({}, place)).mapping
        if section in ("parameters", "sweep"):
            known = self._parameters
            if name in known and not deeper:
                return
        guess = closest(name, known) if not deeper else None
        path = ".".join(way)
        remedy = (
            f"did you mean {section}.{guess}? +{path}=… adds it" if guess else f"+{path}=… adds it"
        )
        raise _wrong(place, f"there is no {path}", remedy)

    def _absent(self, way: tuple[str, ...], override: Override, place: Place) -> None:
        there = self._at(way)
        if there is None and way[0] == "parameters":
            there = self._at(("sweep", *way[1:]))
        if there is not None:
            key = ".".join(override.way)
            what = f"{key} is there already ({there.place.label})"
            raise _wrong(place, what, f"write {key}=…, without +")

    def _swept(self, way: tuple[str, ...], override: Override, place: Place) -> tuple[str, ...]:
        key = ".".join(override.way)
        section, *names = way
        if section in ("parameters", "sweep"):
            if len(names) == 1:
                return ("sweep", *names)
            raise _wrong(
                place, "only whole parameters are swept over", f"write {key}=[…] for a list"
            )
        what = f"{key} is no parameter: only parameters are swept over"
        if way in _LISTS:
            raise _wrong(place, what, f"for a list, write {key}=[{place.label.partition('=')[2]}]")
        raise _wrong(place, what, "write one value; put text that holds commas in quotes")

    def _remove(self, way: tuple[str, ...], place: Place) -> Node:
        if way[0] == "parameters" and len(way) > 1 and self._at(way) is None:
            swept = ("sweep", *way[1:])
            way = swept if self._at(swept) is not None else way
        if self._at(way) is None:
            siblings = self._at(way[:-1])
            guess = closest(way[-1], siblings.mapping) if siblings else None
            remedy = f"did you mean ~{'.'.join((*way[:-1], guess))}?" if guess else ""
            raise _wrong(place, f"there is no {'.'.join(way)} to remove", remedy)
        return prune(self._body, way)
