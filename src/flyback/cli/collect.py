"""`flyback collect`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.outcome import show_run
from flyback.cli.screen import announce, reporter

__all__ = ["command"]


@click.command("collect")
@click.argument("run_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, as_json: bool) -> None:
    """Bring the files of RUN_ID, or of the latest run, home; account for it and certify."""
    run = api.open_run(run_id, report=reporter(quiet=as_json))
    if run.collect() is None:
        announce(f"{run.run_id} goes on; what there is so far: {run.folder}")
        return
    show_run(run, as_json=as_json)
