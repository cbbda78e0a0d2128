"""One thread per library, and an engine that can be made wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulated_gpu import EmulatedDriver

Array = Any
Inject = Callable[[Callable[[Array], Array]], None]

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch) -> Inject:
    """Put something between NumPy's engine and its caller."""
    from flyback.workloads.spectral.engines import ENGINES, Engine

    def install(change: Callable[[Array], Array]) -> None:
        real = ENGINES["numpy"].plan

        def plan(window: Array, output: str) -> Callable[[Array], Array]:
            transform = real(window, output)
            return lambda frames: change(transform(frames))

        monkeypatch.setitem(ENGINES, "numpy", Engine(package="numpy", plan=plan))

    return install


@pytest.fixture
def gpu(tmp_path: Path) -> Callable[..., Any]:
    """Open emulated devices: `EmulatedDriver` with these options."""
    return lambda **options: EmulatedDriver(tmp_path, **options)
