"""CPU beside GPU: ratios, intervals, missing rows, and from where on one wins."""

from __future__ import annotations

import pytest

from flyback.results.crossover import crossovers, pairs
from flyback.spec.result import Result


def row(device: str, n: int, p50: int, **changed: object) -> Result:
    """A result of so many nanoseconds."""
    fields = {
        "workload": {"name": "matmul"},
        "params": {"n": n, "device": device},
        "latency_ns": {"p50": p50, "p50_ci": [p50 * 0.99, p50 * 1.01]},
        "rate": {"items_s": 1e9 / p50},
    }
    return Result(**{**fields, **changed})  # type: ignore[arg-type]  # as its fields


def test_ratios_are_cpu_over_gpu() -> None:
    """Ten times quicker on a machine of twice the price: five times the results per dollar."""
    (pair,) = pairs([row("cpu", 64, 1000), row("cuda", 64, 100)], 1.0, 2.0)
    assert pair.latency == pytest.approx(10)
    assert pair.throughput == pytest.approx(10)
    assert pair.dollars == pytest.approx(5)
    assert pair.interval is not None
    assert pair.interval[0] < 10 < pair.interval[1]


def test_missing_and_failed_rows_are_explicit() -> None:
    """No ratio, and why."""
    failed = row("cuda", 2, 1, status="skipped", reason="no CUDA device", latency_ns=None)
    one, two = pairs([row("cpu", 1, 10), row("cpu", 2, 10), failed])
    assert (one.latency, one.reason) == (None, "no row on the GPU")
    assert (two.latency, two.reason) == (None, "GPU: skipped: no CUDA device")


def test_the_crossover_is_where_the_gpu_wins_for_good() -> None:
    """One lucky small size is none; where it never wins there is none."""
    cpu = [row("cpu", n, 100 * n) for n in (1, 2, 4, 8)]
    gpu = [row("cuda", n, p50) for n, p50 in zip((1, 2, 4, 8), (90, 500, 300, 300), strict=True)]
    found = {each.metric: each.at for each in crossovers(pairs([*cpu, *gpu], 1.0, 3.0), "n")}
    assert found == {"latency": 4, "throughput": 4, "dollars": None}
