"""`flyback bench`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from flyback import api
from flyback.cli.options import least_effect_flag, preset_of, workload_flags
from flyback.cli.outcome import refuse_failed, refuse_slower
from flyback.cli.patience import measuring
from flyback.cli.screen import announce, document, show
from flyback.spec.codec import dumps, encode

if TYPE_CHECKING:
    from flyback.workloads.bench import Benchmark

__all__ = ["command"]


@click.command("bench")
@workload_flags
@click.option(
    "--against",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hold each cell against itself with this parameter, or with this environment variable "
    "(a name in capitals), until the verdict is certain; may be given again.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Most that each cell --against its baseline takes.",
)
@least_effect_flag
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("bench"),
    show_default=True,
    help="Folder of the results.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the configuration and what it will take: each cell is started once.",
)
@click.option("--usd-per-hour", type=float, help="Price of this machine, for --dry-run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click hands over each flag by name
    *,
    workload: str,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    restarts: int,
    lock_clocks: int | None,
    against: tuple[str, ...],
    seconds: float,
    least_effect: float,
    out: Path,
    dry_run: bool,
    usd_per_hour: float | None,
    as_json: bool,
) -> None:
    """Measure WORKLOAD on this machine, its cells in turns.

    OVERRIDES are key=value, or key=a,b for a cell of each. `flyback compare` compares two folders.
    Exit code 1 where a cell has no figures; 5 where one is slower than what it is held --against.
    """
    chosen = preset_of(smoke=smoke, full=full, preset=preset)
    benchmark = api.prepare_bench(workload, overrides, preset=chosen, restarts=restarts)
    benchmark = dataclasses.replace(benchmark, clock_mhz=lock_clocks)
    if against:
        benchmark = api.prepare_against(
            benchmark, against, seconds=seconds, least_effect=least_effect
        )
    else:
        _refuse_idle("seconds", "least_effect")
    if dry_run:
        _predict(benchmark, usd_per_hour, as_json=as_json)
    elif against:
        _compare(benchmark, against, out, as_json=as_json)
    else:
        _measure(benchmark, out, as_json=as_json)


def _refuse_idle(*names: str) -> None:
    """Flags that would do nothing.

    Raises:
        click.UsageError: one of them was given.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --against")


def _measure(benchmark: Benchmark, out: Path, *, as_json: bool) -> None:
    from flyback.results.table import results_view

    with measuring(out):
        rows = api.bench(benchmark, out, report=announce)
    if as_json:
        document(encode(rows))
    else:
        show(results_view(rows))
        announce(f"files: {out}")
    refuse_failed(rows, where=benchmark.cells[0].workload)


def _compare(benchmark: Benchmark, against: tuple[str, ...], out: Path, *, as_json: bool) -> None:
    from flyback.results.comparison_view import comparison_view

    with measuring(out):
        found = api.bench_against(benchmark, out, report=announce)
    baseline = " ".join(against)
    if as_json:
        document(encode(found))
    else:
        show(comparison_view(found), f"A has {baseline}, B is what was asked for")
        if any(cell.verdict == "undecided" for cell in found.cells):
            announce("undecided: more --seconds or --restarts, or a quieter machine, may tell")
        announce(f"files: {out}")
    refuse_slower(found, where=benchmark.cells[0].workload, baseline=baseline)


def _predict(benchmark: Benchmark, usd_per_hour: float | None, *, as_json: bool) -> None:
    """The resolved configuration: what all cells share, then each; what it will take."""
    from flyback.results.figures import NOT_AVAILABLE, format_count, format_usd

    # The command itself will cost what this one has until here.
    minutes = api.predict_bench(benchmark) + time.process_time() / 60
    usd = None if usd_per_hour is None else minutes / 60 * usd_per_hour
    if as_json:
        document({**encode(benchmark), "cpu_minutes": minutes, "usd": usd})
        return
    cells, schedule = benchmark.cells, benchmark.schedule
    first = cells[0]
    shared = [k for k, v in first.parameters.items() if all(c.parameters[k] == v for c in cells)]
    click.echo(f"{first.workload} {_words({k: first.parameters[k] for k in shared})}")
    for number, cell in enumerate(cells, 1):
        own = {k: v for k, v in cell.parameters.items() if k not in shared}
        click.echo(f"cell {number}: {_words({**cell.env, **own}) or 'as above'}")
    price = f"{NOT_AVAILABLE} without --usd-per-hour" if usd is None else format_usd(usd)
    click.echo(
        f"{format_count(len(cells), 'cell')}; {format_count(schedule.restarts, 'restart')} x "
        f"{schedule.layouts} places in memory x {schedule.rounds} rounds: about {minutes:.2f} "
        f"CPU-minutes, {price}"
    )
    if benchmark.against:
        click.echo(
            f"where that does not decide: up to {schedule.most_restarts} restarts, and "
            f"{schedule.seconds:g} s for each cell and its baseline"
        )


def _words(parameters: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else dumps(value)}"
        for name, value in parameters.items()
    )
