"""GitHub workflows to copy into a repository: constant files; what differs is a variable there.

Takes: a name. Gives: where the file lies. Never: fills anything in.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["NAMES", "path"]

NAMES = ("push-image",)
"""Every workflow that there is."""


def path(name: str) -> Path:
    """Where the workflow lies.

    Raises:
        KeyError: there is no such workflow.
    """
    if name not in NAMES:
        raise KeyError(name)
    return Path(__file__).with_name(f"{name}.yml")
