"""What each resource type takes, from the CloudFormation registry schemas that cfn-lint ships.

The schemas say which properties exist (`properties` less `readOnlyProperties`), which of them can't
change in place (`createOnlyProperties`), what `Fn::GetAtt` knows, whether CloudFormation's own tags
go on, and whether a replacement must delete first. Read from the package, never from a user's
cfn-lint cache, so that every machine sees the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ResourceSchema", "resource_schema"]

_NAMES = {
    "array": "JSONArray",
    "boolean": "Boolean",
    "integer": "Integer",
    "number": "Number",
    "object": "JSONObject",
    "string": "String",
}
_INTEGER = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_EXPECTED = "expected type: {expected}, found: {found}"


class ResourceSchema:
    """One type's schema.

    Args:
        raw: cfn-lint's schema object.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        document = raw.schema
        read_only = {
            path.split("/")[2]
            for path in document.get("readOnlyProperties", ())
            if path.count("/") == 2  # noqa: PLR2004  # /properties/Name
        }
        self.type_name: str = document["typeName"]
        self.settable = frozenset(document["properties"]) - read_only
        self.identifier = tuple(
            path.split("/")[-1] for path in document.get("primaryIdentifier", ())
        )
        self.create_only = self._paths("createOnlyProperties")
        self.maybe_create_only = self._paths("conditionalCreateOnlyProperties")
        tagging = document.get("tagging", {})
        self.takes_system_tags = bool(tagging.get("cloudFormationSystemTags", False))
        self.taggable = bool(tagging.get("taggable", True)) and "Tags" in self.settable
        self.deletes_first = document.get("replacementStrategy") == "delete_then_create"

    def has_attribute(self, name: str) -> bool:
        """Whether Fn::GetAtt takes this name."""
        return self._raw.get_atts.get(name) is not None

    def attributes(self) -> frozenset[str]:
        """Every name that Fn::GetAtt takes."""
        return frozenset(self._raw.get_atts.data)

    def coerced(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Properties with "true", "7" and 7 turned into what the schema's types ask for.

        Parameters are always text, and CloudFormation converts the same way.
        """
        return {
            key: self._coerce(item, self._raw.schema["properties"].get(key, {}))
            for key, item in properties.items()
        }

    def problems(self, properties: Mapping[str, Any]) -> list[str]:
        """What is wrong with resolved properties, in AWS's words; empty where nothing is."""
        from cfnlint.jsonschema import StandardValidator

        found = [
            f"Encountered unsupported property {name}"
            for name in sorted(set(properties) - self.settable)
        ]
        if found:
            return found
        validator = StandardValidator(schema=self._raw.schema, resolver=self._raw.resolver)
        return sorted({_sentence(error) for error in validator.iter_errors(dict(properties))})

    def _paths(self, key: str) -> tuple[tuple[str, ...], ...]:
        found = self._raw.schema.get(key, ())
        return tuple(sorted(tuple(path.split("/")[2:]) for path in found))

    def _coerce(self, value: Any, schema: Any) -> Any:
        schema = self._followed(schema)
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if isinstance(value, Mapping):
            known = schema.get("properties", {})
            return {key: self._coerce(item, known.get(key, {})) for key, item in value.items()}
        if isinstance(value, list):
            return [self._coerce(item, schema.get("items", {})) for item in value]
        if kinds:
            return _scalar(value, kinds)
        for branch in self._branches(schema):
            value = self._coerce(value, branch)
        return value

    def _followed(self, schema: Any) -> Mapping[str, Any]:
        while isinstance(schema, Mapping) and "$ref" in schema:
            _, schema = self._raw.resolver.resolve(schema["$ref"])
        return schema if isinstance(schema, Mapping) else {}

    @staticmethod
    def _branches(schema: Mapping[str, Any]) -> Iterator[Any]:
        for key in ("allOf", "anyOf", "oneOf"):
            yield from schema.get(key, ())


def resource_schema(region: str, type_name: str) -> ResourceSchema | None:
    """The schema of a type in a region; None where AWS has no such type there."""
    return _schema(_known_region(region), type_name)


@cache
def _schema(region: str, type_name: str) -> ResourceSchema | None:
    from cfnlint.schema import ResourceNotFoundError

    try:
        return ResourceSchema(_schemas().get_resource_schema(region, type_name))
    except ResourceNotFoundError:
        return None


@cache
def _schemas() -> Any:
    import cfnlint
    from cfnlint.schema.manager import ProviderSchemaManager

    folder = Path(cfnlint.__file__).parent / "data" / "schemas"
    return ProviderSchemaManager(folder / "providers", folder / "resources")


@cache
def _known_region(region: str) -> str:
    from cfnlint.helpers import REGIONS

    return region if region in REGIONS else "us-east-1"


def _scalar(value: Any, kinds: list[str]) -> Any:
    if isinstance(value, str):
        return value if "string" in kinds else _from_text(value, kinds)
    wanted = "boolean" if isinstance(value, bool) else "number"
    fits = wanted in kinds or (wanted == "number" and "integer" in kinds)
    if fits or "string" not in kinds or not isinstance(value, (bool, int, float)):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_text(value: str, kinds: list[str]) -> Any:
    if "boolean" in kinds and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if "integer" in kinds and _INTEGER.fullmatch(value):
        return int(value)
    if "number" in kinds and _NUMBER.fullmatch(value):
        return float(value)
    return value


def _sentence(error: Any) -> str:
    path = [str(item) for item in error.path]
    here = "/".join(["#", *path])
    if error.validator == "additionalProperties" and path:
        parent = "/" + "/".join(path[:-1])
        return (
            "Property validation failure: "
            f"[Encountered unsupported properties in {{{parent}}}: [{path[-1]}]]"
        )
    if error.validator == "type":
        wanted = error.validator_value
        wanted = [wanted] if isinstance(wanted, str) else wanted
        expected = ", ".join(_NAMES.get(item, item) for item in wanted)
        return f"{here}: {_EXPECTED.format(expected=expected, found=_found(error.instance))}"
    if error.validator == "enum":
        return f"{here}: {error.instance} is not a valid enum value"
    if error.validator == "required":
        missing = re.findall(r"'([^']+)'", error.message)
        return f"{here}: required key [{missing[0] if missing else '?'}] not found"
    return f"{here}: {error.message}"


def _found(value: Any) -> str:
    for kind, name in (
        (bool, "Boolean"),
        (int, "Integer"),
        (float, "Number"),
        (str, "String"),
        (list, "JSONArray"),
    ):
        if isinstance(value, kind):
            return name
    return "JSONObject"
