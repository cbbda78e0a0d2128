"""The tables of this package: CSV with comments."""

from __future__ import annotations

import csv
from importlib import resources

__all__ = ["table"]


def table(name: str) -> list[dict[str, str]]:
    """The rows of a table, by column; lines that begin with `#` are left out."""
    text = resources.files(__package__).joinpath(f"data/{name}.csv").read_text()
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
