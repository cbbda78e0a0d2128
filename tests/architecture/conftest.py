"""Where the house stands."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def source(root: Path) -> Path:
    """The package."""
    return root / "src" / "flyback"
