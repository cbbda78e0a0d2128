"""The gate before anything is timed, and once more after: a wrong result has no figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flyback.spec.codec import dumps, loads
from flyback.spec.result import Result
from flyback.workloads import registry
from flyback.workloads.report import render
from flyback.workloads.runner import Setting, measure

Array = Any
Inject = Callable[[Callable[[Array], Array]], None]
SMALL = {"nfft": 64, "channels": 2, "frames": 500, "warmup": 10, "backend": "numpy"}


def run(values: dict[str, Any], **setting: Any) -> Result:
    """Measure the spectral workload."""
    declaration = registry.find("spectral")
    parameters = registry.resolved("spectral", {**SMALL, **values})
    return measure(declaration, registry.create(declaration), parameters, Setting(**setting))


@pytest.mark.parametrize("mode", ["streaming", "batch"])
@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_an_injected_error_fails_the_gate_and_nothing_is_timed(
    mode: str, output: str, inject: Inject, tmp_path: Path
) -> None:
    """A relative error of 1e-5 is 100 dB: invalid, no figure of any kind, no file of samples."""
    inject(lambda spectra: spectra * np.float32(1 + 1e-5))
    lines: list[str] = []
    result = run(
        {"mode": mode, "output": output, "dtype": "float32"},
        timer=lambda: pytest.fail("the clock was read"),
        samples_dir=tmp_path / "samples",
        report=lines.append,
    )
    assert result.status == "invalid"
    assert re.fullmatch(
        r"the correctness gate failed: \w+ \(\w+\) reaches (99\.\d|100\.\d) dB, 120 dB is needed",
        result.reason,
    )
    assert result.latency_ns is result.stream is result.rate is result.samples is None
    assert result.accuracy is not None
    assert not result.accuracy["passed"]
    assert not (tmp_path / "samples").exists()
    assert any("FAILED" in line for line in lines)
    assert not any("timing" in line for line in lines)


@pytest.mark.parametrize(
    "error",
    [
        lambda s: np.where(np.arange(s.shape[-1]) == 3, np.nan, s),
        lambda s: s[..., ::-1],
        lambda s: s[..., :-1],
        np.zeros_like,
    ],
    ids=["nan", "reversed", "bin-lost", "zero"],
)
def test_gross_errors_fail_too_and_the_record_can_be_written(
    error: Callable[[Array], Array], inject: Inject
) -> None:
    """Not a number, permuted, of another shape, all zero: JSON without infinities."""
    inject(error)
    result = run({})
    assert result.status == "invalid"
    assert loads(Result, dumps(result)) == result


def test_a_phase_error_fails_although_magnitudes_are_right(inject: Inject) -> None:
    """The complex spectra are checked where the job only wants magnitudes."""
    inject(lambda s: s * np.exp(1j * 1e-4).astype("complex64") if np.iscomplexobj(s) else s)
    result = run({"output": "magnitude"})
    assert result.status == "invalid"
    assert "(complex)" in result.reason


def test_an_engine_that_breaks_while_it_is_timed_is_invalid(inject: Inject) -> None:
    """The last timed result is held against the reference once more: no figures either."""
    calls = iter(range(10**9))
    inject(lambda s: s * np.float32(1.5) if next(calls) > 300 else s)
    result = run({})
    assert result.status == "invalid"
    assert result.reason.startswith("the check after timing failed: last timed result (result)")
    assert result.latency_ns is None


def test_the_table_of_an_invalid_result_has_no_figures(inject: Inject) -> None:
    """Only the accuracy and the reason."""
    inject(np.zeros_like)
    lines: Sequence[str] = render(run({}))
    assert len(lines) == 3
    assert lines[0] == "spectral · invalid"
    assert "the correctness gate failed" in lines[2]
