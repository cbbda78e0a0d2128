"""Template text, YAML or JSON, to plain Python values; short forms become their long forms.

CloudFormation takes YAML 1.1 without aliases, merges and timestamps (user guide, "Template
formats"), so dates stay text here. `null` is refused as it is there.
"""

from __future__ import annotations

import json
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.refusals import invalid

__all__ = ["decode"]

_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = ("Ref", "Condition")


def decode(body: str) -> dict[str, Any]:
    """The template as a mapping.

    Raises:
        AwsError: it is not well-formed, holds a null, a duplicate key or an alias.
    """
    found = _decode_json(body) if body.lstrip().startswith("{") else _decode_yaml(body)
    if not isinstance(found, dict):
        raise invalid("Template format error: unsupported structure.")
    _refuse_nulls(found, "")
    return found


def _decode_json(body: str) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise invalid(
            "Template format error: JSON not well-formed. "
            f"(line {error.lineno}, column {error.colno})"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _duplicate(key)
        found[key] = value
    return found


def _duplicate(key: str, line: int | None = None) -> AwsError:
    where = "" if line is None else f" (line {line})"
    return invalid(f"Template format error: duplicate key {key!r}{where}.")


def _decode_yaml(body: str) -> Any:
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = loader_class(body)
    try:
        node = loader.get_single_node()
        return None if node is None else _Construction(loader).value(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise invalid(f"Template format error: YAML not well-formed.{where}") from error
    except yaml.YAMLError as error:
        raise invalid("Template format error: YAML not well-formed.") from error
    finally:
        loader.dispose()


class _Construction:
    """Python values from YAML nodes, each node once."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._seen: set[int] = set()

    def value(self, node: Any) -> Any:
        # an alias stands for the very node that it names
        if id(node) in self._seen:
            raise invalid(
                "Template format error: YAML aliases are not allowed in CloudFormation templates"
            )
        self._seen.add(id(node))
        if node.tag.startswith("!"):
            name = node.tag[1:]
            long = name if name in _PLAIN_TAGS else f"Fn::{name}"
            inner = self._untagged(node)
            if long == "Fn::GetAtt" and isinstance(inner, str):
                inner = inner.split(".", 1)
            return {long: inner}
        return self._untagged(node)

    def _untagged(self, node: Any) -> Any:
        if node.id == "mapping":
            return self._mapping(node)
        if node.id == "sequence":
            return [self.value(item) for item in node.value]
        if node.tag.startswith("!") or node.tag in (f"{_CORE}str", f"{_CORE}timestamp"):
            return node.value
        return self._loader.construct_object(node)

    def _mapping(self, node: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                raise invalid("Template format error: every key must be a string.")
            # keys are text whatever they look like: `2012: …` is "2012"
            if key_node.value in found:
                raise _duplicate(key_node.value, key_node.start_mark.line + 1)
            found[key_node.value] = self.value(value_node)
        return found


def _refuse_nulls(value: Any, path: str) -> None:
    if value is None:
        raise invalid(f"[{path or '/'}] 'null' values are not allowed in templates")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_nulls(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_nulls(item, f"{path}/{number}")
