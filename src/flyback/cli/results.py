"""`flyback results`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.outcome import show_run

__all__ = ["command"]


@click.command("results")
@click.argument("run_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, as_json: bool) -> None:
    """Show results, receipt and certificate of a collected run (the latest by default)."""
    show_run(api.open_collected(run_id), as_json=as_json)
