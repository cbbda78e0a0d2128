"""Frozen dataclasses to JSON and back, with the standard library alone.

The agent and the guardian run where no compiled dependency may be assumed, so the nouns are
standard-library dataclasses and this module is all they need to travel. Documents that people
write are checked by pydantic over the same types (``spec.load``), on the user's machine.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

__all__ = ["decode", "dumps", "encode", "loads", "read_json", "write_atomic", "write_json"]

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn a noun into plain JSON types; tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], data: Any) -> T:
    """Build a noun from plain JSON types.

    Raises:
        ValueError: a field is unknown, missing or of another type; the message names it.
    """
    return cast("T", _decode(kind, data, kind.__name__))


def dumps(value: Any) -> str:
    """One compact JSON line, keys in field order, no NaN."""
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=False)


def loads(kind: type[T], text: str | bytes) -> T:
    """Inverse of `dumps`.

    Raises:
        ValueError: the text is no JSON, or not of that kind.
    """
    return decode(kind, json.loads(text))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a noun as indented JSON, atomically."""
    text = json.dumps(encode(value), indent=2, allow_nan=False) + "\n"
    write_atomic(path, text.encode())


def read_json(kind: type[T], path: Path) -> T:
    """Read what `write_json` wrote.

    Raises:
        ValueError: the file is not of that kind; the message names the file.
        OSError: the file can't be read.
    """
    try:
        return loads(kind, path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, data: Any, at: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return data
    if origin in (Union, types.UnionType):
        return _decode_union(kind, data, at)
    if origin is Literal:
        if data not in get_args(kind):
            raise ValueError(f"{at}: {data!r} is none of {', '.join(map(repr, get_args(kind)))}")
        return data
    if origin is not None:
        return _decode_container(kind, data, at)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, at)
    return _decode_scalar(kind, data, at)


def _decode_union(kind: Any, data: Any, at: str) -> Any:
    options = get_args(kind)
    if data is None and type(None) in options:
        return None
    problems = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _decode(option, data, at)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems))


def _decode_container(kind: Any, data: Any, at: str) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(data, Sequence) or isinstance(data, str):
            raise ValueError(f"{at}: a list is expected")
        item = get_args(kind)[0]
        return tuple(_decode(item, value, f"{at}[{i}]") for i, value in enumerate(data))
    value_kind = get_args(kind)[1]
    return {str(k): _decode(value_kind, v, f"{at}.{k}") for k, v in _mapping(data, at).items()}


def _mapping(data: Any, at: str) -> Mapping[Any, Any]:
    if isinstance(data, Mapping):
        return data
    raise ValueError(f"{at}: a mapping is expected")


def _decode_dataclass(kind: Any, data: Any, at: str) -> Any:
    data = _mapping(data, at)
    hints = _hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(data) - names)
    if unknown:
        raise ValueError(f"{at}: unknown field {unknown[0]!r}")
    values = {name: _decode(hints[name], data[name], f"{at}.{name}") for name in data}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{at}: {error}") from error


def _decode_scalar(kind: Any, data: Any, at: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind in (int, float) and isinstance(data, bool)):
        raise ValueError(f"{at}: {kind.__name__} is expected, not {data!r}")
    return data
