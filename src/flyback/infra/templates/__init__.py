"""The CloudFormation templates: plain YAML with Parameters, one file each, and their text.

Takes: a name. Gives: the file as it lies here, or some of its resources. Never: fills anything in;
what differs between two deployments is a Parameter.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "parameters", "path", "read", "resources_only"]

NAMES = ("core",)
"""Every template that there is."""


def path(name: str) -> Path:
    """Where the template lies, for `aws cloudformation deploy --template-file`.

    Raises:
        KeyError: there is no such template.
    """
    if name not in NAMES:
        raise KeyError(name)
    return Path(__file__).with_name(f"{name}.yaml")


def read(name: str) -> str:
    """The template's text.

    Raises:
        KeyError: there is no such template.
    """
    return path(name).read_text(encoding="utf-8")


def parameters(text: str) -> frozenset[str]:
    """Names of the parameters that a template takes."""
    return frozenset(_yaml().load(text).get("Parameters", ()))


def resources_only(text: str, logical_ids: Collection[str]) -> str:
    """A template with these of its resources and without outputs, as an import wants it.

    Raises:
        KeyError: the template lacks one of them.
    """
    yaml = _yaml()
    document = yaml.load(text)
    document.pop("Outputs", None)
    document.pop("Metadata", None)
    document["Resources"] = {name: document["Resources"][name] for name in logical_ids}
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _yaml() -> Any:
    """Reads and writes `!Ref` and its kin as they stand."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 4096
    return yaml
