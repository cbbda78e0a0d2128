from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flyback.spec.result import Result

GOLDEN = Path(__file__).with_name("golden")


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


@pytest.fixture(scope="session")
def screen() -> Callable[..., str]:
    """What a terminal of that many columns shows, without colour and trailing blanks."""

    def draw(answer: Any, width: int = 80) -> str:
        console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
        console.print(answer)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
        assert all(len(line) <= width for line in lines)
        return "\n".join(line.rstrip() for line in lines) + "\n"

    return draw


@pytest.fixture(scope="session")
def result() -> Callable[..., Result]:
    """Makes the result of one spectral cell, times in nanoseconds."""

    def make(cell: int = 0, *, p50: int = 20_039, n: int = 600, **fields: Any) -> Result:
        params = {"nfft": 1024, "overlap": 0.5, "channels": 2, "window": "hann"}
        few = n < 500
        made: dict[str, Any] = {
            "run_id": "spectral-1",
            "workload": {"name": "spectral", "version": "1.0"},
            "params": params | fields.pop("params", {}),
            "backend": {"name": "scipy", "version": "1.17.1"},
            "dtype": "float32",
            "device": {"kind": "cpu", "name": "Xeon"},
            "latency_ns": {
                "n": n,
                "min": p50 - 1527,
                "max": p50 * 3,
                "mean": p50 + 1721,
                "p50": p50,
                "p90": p50 + 5232,
                "p95": p50 + 12_147,
                "p99": None if few else p50 + 30_146,
                "p999": None,
            },
            "stream": {
                "fs_hz": 100_000.0,
                "deadline_ns": 5_120_000,
                "misses": 0,
                "margin_p50": 5_120_000 / p50,
                "margin_mean": 5_120_000 / (p50 + 1721),
                "margin_p99": None if few else 5_120_000 / (p50 + 30_146),
            },
            "accuracy": {"metric": "snr_db", "value": 137.691, "threshold": 120.0, "passed": True},
        }
        return Result(cell=cell, **(made | fields))

    return make
