"""Benchmarks on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyback.errors import UserError
from flyback.workloads import registry
from flyback.workloads.parameters import parse_words

if TYPE_CHECKING:
    from flyback.spec.result import Result
    from flyback.workloads.bench import Benchmark

__all__ = ["bench", "predict_bench", "prepare_bench"]


def prepare_bench(
    workload: str, overrides: Sequence[str] = (), *, preset: str | None = None, restarts: int = 3
) -> Benchmark:
    """What `bench` would measure.

    Args:
        workload: Its name.
        overrides: `key=value`, or `key=a,b` for a cell of each.
        preset: Parameters to start from.
        restarts: Fresh processes per cell.

    Raises:
        UserError: there is no such workload, preset or parameter.
    """
    from flyback.workloads.bench import prepare
    from flyback.workloads.session import Schedule

    chosen: Mapping[str, Any] = registry.preset(workload, preset) if preset else {}
    values: dict[str, Sequence[Any]] = {name: [value] for name, value in chosen.items()}
    for word in overrides:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(
                f"{word!r} is no key=value", where="overrides", remedy="write nfft=1024,4096"
            )
        values[name] = [parse_words([f"{name}={part}"])[name] for part in text.split(",")]
    return prepare(workload, values, Schedule(restarts=restarts, adaptive=False))


def predict_bench(benchmark: Benchmark) -> float:
    """Processor time that a benchmark will take, minutes; starts each cell once to know."""
    from flyback.workloads.bench import predicted

    return predicted(benchmark)


def bench(
    benchmark: Benchmark, folder: Path, report: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Measure on this machine; the folder gets `results.jsonl` and `samples/`.

    Args:
        benchmark: From `prepare_bench`.
        folder: Where results go.
        report: Told what happens.
    """
    from flyback.workloads.bench import bench as measure

    return measure(benchmark, folder, report=report)
