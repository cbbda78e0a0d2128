"""`flyback bench`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyback import api
from flyback.cli.options import preset_of, workload_flags
from flyback.cli.screen import announce, document, show
from flyback.spec.codec import dumps, encode

if TYPE_CHECKING:
    from flyback.workloads.bench import Benchmark

__all__ = ["command"]


@click.command("bench")
@workload_flags
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("bench"), help="Folder of the results."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the configuration and what it will take: each cell is started once.",
)
@click.option("--lock-clocks", type=int, metavar="MHZ", help="Hold the GPU's clock meanwhile.")
@click.option("--usd-per-hour", type=float, help="Price of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click hands over each flag by name
    *,
    workload: str,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    restarts: int,
    out: Path,
    dry_run: bool,
    lock_clocks: int | None,
    usd_per_hour: float | None,
    as_json: bool,
) -> None:
    """Measure WORKLOAD on this machine, its cells in turns.

    OVERRIDES are key=value, or key=a,b for a cell of each. `flyback compare` compares two folders.
    """
    from flyback.results.table import results_view

    chosen = preset_of(smoke=smoke, full=full, preset=preset)
    benchmark = api.prepare_bench(workload, overrides, preset=chosen, restarts=restarts)
    benchmark = dataclasses.replace(benchmark, clock_mhz=lock_clocks)
    if dry_run:
        _predict(benchmark, usd_per_hour, as_json=as_json)
        return
    rows = api.bench(benchmark, out, report=announce)
    if as_json:
        document(encode(rows))
    else:
        show(results_view(rows))
        announce(f"files: {out}")


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
        click.echo(f"cell {number}: {_words(own) or 'as above'}")
    price = f"{NOT_AVAILABLE} without --usd-per-hour" if usd is None else format_usd(usd)
    click.echo(
        f"{format_count(len(cells), 'cell')}; {format_count(schedule.restarts, 'restart')} x "
        f"{schedule.layouts} places in memory x {schedule.rounds} rounds: about {minutes:.2f} "
        f"CPU-minutes, {price}"
    )


def _words(parameters: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else dumps(value)}"
        for name, value in parameters.items()
    )
