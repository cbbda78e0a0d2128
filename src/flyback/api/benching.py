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
    from flyback.spec.comparison import Comparison
    from flyback.spec.result import Result
    from flyback.workloads.bench import Benchmark

__all__ = [
    "bench",
    "bench_against",
    "crossover",
    "predict_bench",
    "prepare_against",
    "prepare_bench",
]

_MOST_RESTARTS = 12


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


def prepare_against(
    benchmark: Benchmark,
    changes: Sequence[str],
    *,
    seconds: float = 60.0,
    least_effect: float = 0.03,
) -> Benchmark:
    """What `bench_against` would measure: every cell beside a baseline, until it is decided.

    Args:
        benchmark: From `prepare_bench`.
        changes: In what the baselines differ: `key=value` of a parameter, or of an environment
            variable where the name is in capitals.
        seconds: Most that each comparison takes.
        least_effect: Changes smaller than this share are none.

    Raises:
        UserError: a word is no `key=value`, or there is no such parameter.
    """
    from flyback.workloads.bench import set_against
    from flyback.workloads.session import Schedule

    parameters: dict[str, Any] = {}
    env: dict[str, str] = {}
    known = benchmark.cells[0].parameters
    for word in changes:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(
                f"{word!r} is no key=value", where="--against", remedy="write backend=numpy"
            )
        if name.isupper() and name not in known:
            env[name] = text
        else:
            parameters |= parse_words([word])
    fewest = benchmark.schedule.restarts
    schedule = Schedule(
        restarts=fewest,
        most_restarts=max(fewest, _MOST_RESTARTS),
        seconds=seconds,
        least_effect=least_effect,
        adaptive=True,
    )
    return set_against(benchmark, parameters, env, schedule)


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

    Raises:
        UserError: the folder is none.
        OSError: it can't be made.
    """
    from flyback.workloads.bench import bench as measure

    try:
        folder.mkdir(parents=True, exist_ok=True)  # before minutes are spent
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            "this is no folder", where=str(folder), remedy="name another for the results"
        ) from error
    return measure(benchmark, folder, report=report)


def bench_against(
    benchmark: Benchmark, folder: Path, report: Callable[[str], None] = lambda _: None
) -> Comparison:
    """Measure every cell in turns with its baseline until faster, slower or the same is certain.

    The folder gets what `bench` writes, the rows of the baselines in `against/`, and a line of
    `comparisons.jsonl`.

    Args:
        benchmark: From `prepare_against`.
        folder: Where results go.
        report: Told what happens.

    Returns:
        The cells (B) held against their baselines (A), in order.
    """
    from flyback.results.compare import Measured, compare_pairs
    from flyback.spec.jsonlines import append_line
    from flyback.workloads.bench import BASELINES

    rows = bench(benchmark, folder, report)
    a, b = (
        Measured(place / "results.jsonl", tuple(side), (place / "samples",))
        for place, side in ((folder / BASELINES, rows[::2]), (folder, rows[1::2]))
    )
    found = compare_pairs(a, b, least_effect=benchmark.schedule.least_effect)
    append_line(folder / "comparisons.jsonl", found)
    return found


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
