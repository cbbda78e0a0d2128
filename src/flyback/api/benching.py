"""Benchmarks on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyback.errors import UserError
from flyback.workloads import registry
from flyback.workloads.parameters import parse_words

if TYPE_CHECKING:
    from flyback.results.crossover import Between, Crossover, Pair
    from flyback.spec.result import Result
    from flyback.workloads.bench import Benchmark

__all__ = ["bench", "crossover", "predict_bench", "prepare_bench"]


def prepare_bench(
    workload: str,
    overrides: Sequence[str] = (),
    *,
    preset: str | None = None,
    restarts: int = 3,
    between: Between | None = None,
) -> Benchmark:
    """What `bench` would measure.

    Args:
        workload: Its name.
        overrides: `key=value`, or `key=a,b` for a cell of each.
        preset: Parameters to start from.
        restarts: Fresh processes per cell.
        between: Two sides of every cell, which take turns with each other alone.

    Raises:
        UserError: there is no such workload, preset or parameter.
    """
    from flyback.workloads.bench import prepare
    from flyback.workloads.session import Schedule

    chosen: Mapping[str, Any] = registry.preset(workload, preset) if preset else {}
    values: dict[str, Sequence[Any]] = {
        name: value if isinstance(value, tuple) else [value] for name, value in chosen.items()
    }
    for word in overrides:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(
                f"{word!r} is no key=value", where="overrides", remedy="write nfft=1024,4096"
            )
        values[name] = [parse_words([f"{name}={part}"])[name] for part in text.split(",")]
    together = 5
    if between is not None:
        values.pop(between.parameter, None)
        values[between.parameter] = [between.a, between.b]  # the last varies first
        together = 2
    schedule = Schedule(restarts=restarts, adaptive=False)
    return dataclasses.replace(prepare(workload, values, schedule), together=together)


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


def crossover(
    benchmark: Benchmark,
    between: Between,
    folder: Path,
    along: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> tuple[list[Pair], list[Crossover]]:
    """Measure two sides of every cell, and find from which size on the second wins.

    Args:
        benchmark: From `prepare_bench` with the same `between`.
        between: The sides.
        folder: Where results go.
        along: Parameters that grow; none takes those that vary and are numbers.
        report: Told what happens.

    Raises:
        UserError: a parameter to go along does not vary.
    """
    from flyback.results.compare import Measured
    from flyback.results.crossover import crossovers, pairs

    growing = _growing(benchmark, between, along)
    rows = bench(benchmark, folder, report)
    measured = Measured(folder / "results.jsonl", tuple(rows), (folder / "samples",))
    found = pairs(measured, between)
    return found, [each for name in growing for each in crossovers(found, name)]


def _growing(benchmark: Benchmark, between: Between, along: Sequence[str]) -> list[str]:
    """Checked before anything is measured."""
    seen: dict[str, set[Any]] = {}
    for cell in benchmark.cells:
        for name, value in cell.parameters.items():
            if name != between.parameter and type(value) in (int, float):
                seen.setdefault(name, set()).add(value)
    varying = [name for name, values in seen.items() if len(values) > 1]
    for name in along:
        if name not in varying:
            raise UserError(
                f"{name} is no number that varies",
                where="along",
                remedy=f"write {name}=…,… with several values, or name one of: "
                f"{', '.join(varying) or 'none varies'}",
            )
    return list(along) or varying
