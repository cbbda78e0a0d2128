"""`flyback bench`."""

from __future__ import annotations

from pathlib import Path

import click

from flyback import api
from flyback.cli.options import preset_of
from flyback.cli.screen import announce, document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("bench")
@click.argument("workload")
@click.argument("overrides", nargs=-1)
@click.option("--smoke", is_flag=True, help="The preset `smoke`: seconds.")
@click.option("--full", is_flag=True, help="The preset `full`.")
@click.option("--preset", help="A preset of the workload.")
@click.option("--restarts", type=click.IntRange(1), default=3, help="Fresh processes per cell.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("bench"), help="Folder of the results."
)
@click.option("--dry-run", is_flag=True, help="Show cells and expected time: each is started once.")
@click.option("--usd-per-hour", type=float, default=0.0, help="Price of this machine.")
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
    usd_per_hour: float,
    as_json: bool,
) -> None:
    """Measure WORKLOAD on this machine, its cells in turns.

    OVERRIDES are key=value, or key=a,b for a cell of each. `flyback compare` compares two folders.
    """
    from flyback.results.table import results_view

    chosen = preset_of(smoke=smoke, full=full, preset=preset)
    benchmark = api.prepare_bench(workload, overrides, preset=chosen, restarts=restarts)
    if dry_run:
        minutes = api.predict_bench(benchmark)
        usd = minutes / 60 * usd_per_hour
        if as_json:
            document({**encode(benchmark), "cpu_minutes": minutes, "usd": usd})
            return
        for cell in benchmark.cells:
            announce(" ".join([workload, *(f"{k}={v}" for k, v in cell.parameters.items())]))
        announce(
            f"{len(benchmark.cells)} cells, {benchmark.schedule.restarts} restarts: about "
            f"{minutes:.2f} CPU-minutes, ${usd:.4f}"
        )
        return
    rows = api.bench(benchmark, out, report=announce)
    if as_json:
        document(encode(rows))
    else:
        show(results_view(rows))
        announce(f"files: {out}")
