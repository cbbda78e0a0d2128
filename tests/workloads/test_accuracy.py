"""The gate's measure: one bad result decides, and nothing slips through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flyback.workloads.accuracy import LIMIT_DB, Gate, snr_db
from flyback.workloads.workload import Comparison

RNG = np.random.default_rng(1)
TRUTH = RNG.standard_normal((50, 2, 33)) + 1j * RNG.standard_normal((50, 2, 33))


def compare(actual: Any, expected: Any = TRUTH) -> Comparison:
    """One comparison of a magnitude or complex result."""
    return Comparison(label="noise", kind="complex", actual=actual, expected=expected)


@pytest.mark.parametrize("error", [1e-3, 1e-6, 1e-12])
def test_a_relative_error_has_its_decibels(error: float) -> None:
    """A gain error e is -20 log10(e) dB, by hand."""
    assert snr_db(compare(TRUTH * (1 + error))) == pytest.approx(-20 * np.log10(error), abs=0.01)


def test_one_bad_result_among_many_decides() -> None:
    """One spectrum of a hundred wrong by 1e-3: 60 dB, where the average over all would say 80."""
    actual = TRUTH.copy()
    actual[17, 1] *= 1 + 1e-3
    assert snr_db(compare(actual)) == pytest.approx(60, abs=0.01)


def test_a_wrong_phase_shows() -> None:
    """Magnitudes alone would not see it."""
    assert snr_db(compare(TRUTH * np.exp(1j * 1e-3))) == pytest.approx(60, abs=0.01)
    assert snr_db(compare(np.abs(TRUTH), np.abs(TRUTH * np.exp(1j * 1e-3)))) > 250


@pytest.mark.parametrize(
    "broken",
    [
        np.where(np.arange(33) == 5, np.nan, TRUTH),
        np.where(np.arange(33) == 5, np.inf, TRUTH),
        TRUTH[:49],
        TRUTH[..., :32],
        TRUTH[:0],
        TRUTH[:, ::-1],
        np.roll(TRUTH, 1, axis=0),
        np.zeros_like(TRUTH),
    ],
    ids=["nan", "inf", "frame-lost", "bin-lost", "empty", "channels", "order", "zero"],
)
def test_what_is_not_the_result_fails(broken: Any) -> None:
    """Not a number, of another shape, in another order, all zero: far below any floor."""
    assert snr_db(compare(broken)) < 10


def test_silence_is_right_only_where_silence_is_expected() -> None:
    """An empty frame compares as identical; noise in its place has no SNR at all."""
    silent = np.zeros((3, 33))
    assert snr_db(compare(silent, silent)) == LIMIT_DB
    assert snr_db(compare(silent + 1e-30, silent)) == -LIMIT_DB


def test_a_gate_that_compared_nothing_does_not_pass() -> None:
    """No evidence is no pass, and the record can still be written."""
    gate = Gate(120, "float64")
    assert not gate.passes()
    assert gate.record()["value"] == -LIMIT_DB


def test_a_gate_remembers_the_worst_of_each_input() -> None:
    """Value, which input, how many results; the least decides."""
    gate = Gate(120, "float64")
    gate.add(compare(TRUTH))
    assert gate.passes()
    gate.add(compare(TRUTH * (1 + 1e-5)))
    gate.add(compare(TRUTH))
    record = gate.record()
    assert not gate.passes()
    assert not record["passed"]
    assert record["value"] == pytest.approx(100, abs=0.01)
    assert record["worst"] == "noise (complex)"
    assert record["n_checked"] == 300
