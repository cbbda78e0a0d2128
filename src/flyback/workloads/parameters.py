"""Typed parameters of a workload: a frozen dataclass whose fields explain and check themselves.

Standard library alone: the job-file checker asks before anything heavy is installed.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from flyback.errors import UserError

__all__ = [
    "Documented",
    "ParameterError",
    "Parameters",
    "describe",
    "parameter",
    "parse_words",
    "resolve",
    "suggestion",
]


class Parameters(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


P = TypeVar("P", bound=Parameters)


class ParameterError(UserError):
    """A workload's parameter is unknown or has a value that it cannot have.

    Args:
        parameter: Its name as the user wrote it.
        what: One sentence.
        remedy: What to write instead.
    """

    def __init__(self, parameter: str, what: str, *, remedy: str = "") -> None:
        super().__init__(what, where=f"parameters.{parameter}", remedy=remedy)
        self.parameter = parameter


@dataclass(frozen=True, kw_only=True)
class Documented:
    """One parameter as the reader sees it."""

    name: str
    default: Any
    kind: str
    help: str


def parameter(default: Any, explanation: str) -> Any:
    """A dataclass field with its default and the sentence that `--list` prints."""
    return dataclasses.field(default=default, metadata={"help": explanation})


def describe(kind: type[Parameters]) -> tuple[Documented, ...]:
    """Every parameter of a workload, in order."""
    hints = get_type_hints(kind)
    return tuple(
        Documented(
            name=f.name,
            default=f.default,
            kind=_kind_name(hints[f.name]),
            help=f.metadata.get("help", ""),
        )
        for f in dataclasses.fields(kind)
    )


def resolve(kind: type[P], values: Mapping[str, Any]) -> P:
    """Check `values` against the fields of `kind` and fill in defaults.

    Raises:
        ParameterError: a name is unknown, or a value has the wrong type or is out of range.
    """
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            raise ParameterError(
                name, "there is no such parameter", remedy=suggestion(str(name), names)
            )
        checked[name] = _check(name, hints[name], value)
    return kind(**checked)


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Read JSON objects and `key=value` words, left to right; later ones win.

    A value is read as JSON where it is JSON, else as text.

    Raises:
        UserError: a word is neither.
    """
    values: dict[str, Any] = {}
    for word in words:
        if word.lstrip().startswith("{"):
            values |= _parse_object(word)
            continue
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(
                f"{word!r} is neither key=value nor a JSON object",
                where="--parameters",
                remedy="write for example: --parameters nfft=4096 overlap=0.5",
            )
        values[name] = _parse_value(text)
    return values


def suggestion(word: str, options: Iterable[str]) -> str:
    """The remedy for a name that does not exist: the nearest one, and all there are."""
    known = sorted(options)
    near = [o for o in known if o.startswith(word) or word.startswith(o)] if word else []
    near += difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    listing = f"there are: {', '.join(known)}"
    return f"did you mean {near[0]}? {listing}" if near else listing


def _parse_object(word: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(word)
    except json.JSONDecodeError as error:
        raise UserError(
            f"not a JSON object: {error.msg} at character {error.pos + 1}",
            where="--parameters",
            remedy="write for example: --parameters '{\"nfft\": 4096}'",
        ) from error
    return values


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _check(name: str, kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        return _check_choice(name, get_args(kind), value)
    if get_origin(kind) is types.UnionType:
        if value is None:
            return None
        kind = next(option for option in get_args(kind) if option is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ParameterError(name, f"{_kind_name(kind)} is expected, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(name, f"a finite number is expected, not {value!r}")
    return value


def _check_choice(name: str, options: tuple[str, ...], value: Any) -> Any:
    if value not in options:
        raise ParameterError(
            name, f"{value!r} is not possible", remedy=suggestion(str(value), options)
        )
    return value


_KINDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def _kind_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(get_args(kind))
    if get_origin(kind) is types.UnionType:
        return " or ".join(
            "null" if option is type(None) else _kind_name(option) for option in get_args(kind)
        )
    return _KINDS.get(kind, str(kind))
