from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flyback.spec.job import JobSpec, Resources

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(scope="session")
def job() -> Callable[..., JobSpec]:
    """Makes a spectral job; `resources` as keywords of its own."""

    def make(*, resources: Mapping[str, Any] | None = None, **fields: Any) -> JobSpec:
        given = {"name": "spectral", "workload": "spectral"} | fields
        return JobSpec(**given, resources=Resources(**(resources or {})))

    return make


@pytest.fixture
def golden(outer_environ: Mapping[str, str]) -> Callable[[str, str], None]:
    """Compares a text whole; `GOLDEN=write` in the environment writes it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if outer_environ.get("GOLDEN") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
