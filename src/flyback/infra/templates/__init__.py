"""The CloudFormation templates: plain YAML with Parameters, one file each, and their text.

Takes: a name. Gives: the file as it lies here. Never: fills anything in; what differs between two
deployments is a Parameter.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["NAMES", "path", "read"]

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
