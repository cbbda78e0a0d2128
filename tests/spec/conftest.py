"""A workload that the tests of job files know, in place of the shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import UserError
from flyback.spec.load import LoadedJob, load_job

DEFAULTS = {"nfft": 1024, "window": "hann", "overlap": 0.5, "channels": 1}


class ParameterError(UserError):
    """What a workload raises."""

    parameter = "nfft"


class Hooks:
    """What the api room passes for shipped workloads."""

    @staticmethod
    def names(workload: str) -> list[str]:
        """Parameter names."""
        if workload != "spectral":
            raise UserError(f"no workload is called {workload!r}", remedy="did you mean spectral?")
        return list(DEFAULTS)

    @staticmethod
    def presets(workload: str) -> Mapping[str, Mapping[str, Any]]:
        """The workload's own presets."""
        Hooks.names(workload)
        return {
            "smoke": {"nfft": 256},
            "long": {"nfft": 65536},
            "sizes": {"nfft": (64, 128), "window": "hann"},
        }

    @staticmethod
    def check(workload: str, parameters: Mapping[str, Any]) -> None:
        """Judge parameters."""
        known = Hooks.names(workload)
        for name in parameters:
            if name not in known:
                raise ValueError(f"there is no parameter {name}")
        nfft = parameters.get("nfft", 1024)
        if not isinstance(nfft, int) or nfft < 1 or nfft & (nfft - 1):
            raise ParameterError(f"{nfft!r} is no power of two", remedy="write for example 1024")


Load = Callable[..., LoadedJob]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a job file into the current folder and load it with the hooks."""
    monkeypatch.chdir(tmp_path)

    def load(
        text: str | bytes,
        *overrides: str,
        preset: str | None = None,
        name: str = "job.yaml",
    ) -> LoadedJob:
        Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
        return load_job(
            name,
            overrides,
            preset,
            check_parameters=Hooks.check,
            workload_presets=Hooks.presets,
            workload_parameters=Hooks.names,
        )

    return load
