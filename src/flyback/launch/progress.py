"""How the stages tell what they are doing: one line of text per step."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Report", "silent"]

Report = Callable[[str, str], None]
"""Called with a stage (`deploy`, `launch`, `run`, `collect`, `teardown`) and a sentence."""


def silent(stage: str, text: str) -> None:
    """Tell nobody."""
    del stage, text
