"""The io workload: what it loads is what was written, and the sources differ as they must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from flyback.workloads import registry
from flyback.workloads.io.sources import Single
from flyback.workloads.io.workload import Io, contents
from flyback.workloads.parameters import ParameterError
from flyback.workloads.runner import Setting, measure

SMALL = {"objects": 12, "object_bytes": 4000, "batch": 8, "batches": 12, "warmup": 1}


@pytest.fixture
def ios() -> Iterator[list[Io]]:
    """Workloads that are closed when the test ends."""
    made: list[Io] = []
    yield made
    for io in made:
        io.close()


def run(ios: list[Io], **given: Any) -> Any:
    """One cell."""
    ios.append(Io())
    parameters = registry.resolved("io", SMALL | {"latency_ms": 1.0} | given)
    return measure(registry.find("io"), ios[-1], parameters, Setting())


@pytest.mark.parametrize("source", ["local", "single", "parallel", "cached"])
def test_each_source_gives_what_was_written(source: str, ios: list[Io]) -> None:
    """The gate compares every object, and the record tells batches, bytes and rate."""
    result = run(ios, source=source)
    assert result.status == "ok", result.reason
    assert result.latency_ns["n"] >= 12
    expected = {"flops": 0, "bytes": 32_000, "items": 8, "item_unit": "object"}
    assert result.work is not None
    assert expected.items() <= result.work.items()
    assert result.accuracy["inputs"]["data set"] == {"batch": 400.0}


@pytest.mark.extended  # twenty seconds
def test_injected_latency_shows_in_the_ratios(ios: list[Io]) -> None:
    """At 10 ms a request, one connection needs at least that per object; many and a cache less."""
    means = {
        source: run(ios, source=source, latency_ms=10.0).latency_ns["mean"]
        for source in ("single", "parallel", "cached")
    }
    assert means["single"] >= 8 * 10e6
    assert means["single"] > 2 * means["parallel"]
    assert means["parallel"] >= 10e6
    assert means["parallel"] > 2 * means["cached"]


def test_a_damaged_object_is_no_figure(ios: list[Io], monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong byte on the way, and the result is invalid."""
    real = Single.one

    def damaged(self: Single, number: int) -> bytes:
        data = bytearray(real(self, number))
        data[1] ^= number == 7
        return bytes(data)

    monkeypatch.setattr(Single, "one", damaged)
    result = run(ios, source="single")
    assert result.status == "invalid"
    assert result.latency_ns is None


def test_contents_follow_from_seed_and_number() -> None:
    """Equal seeds give equal objects, other numbers others."""
    parameters = registry.resolved("io", SMALL)
    assert np.array_equal(contents(parameters, 3), contents(parameters, 3))
    assert not np.array_equal(contents(parameters, 3), contents(parameters, 4))


@pytest.mark.parametrize(
    "given",
    [{"object_bytes": 10}, {"batch": 0}, {"rate_mb_s": 0}, {"objects": 10**6}, {"latency_ms": -1}],
)
def test_impossible_parameters_are_refused(given: dict[str, Any]) -> None:
    """Before anything is written."""
    with pytest.raises(ParameterError):
        registry.resolved("io", given)
