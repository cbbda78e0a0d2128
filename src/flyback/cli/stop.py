"""`flyback stop`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.outcome import show_run
from flyback.cli.screen import announce, reporter

__all__ = ["command"]


@click.command("stop")
@click.argument("run_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, as_json: bool) -> None:
    """End RUN_ID, or the latest run, and wait until its machine is gone."""
    run = api.open_run(run_id, report=reporter(quiet=as_json))
    marker = run.stop()
    show_run(run, as_json=as_json)
    if not as_json:
        announce(f"{run.run_id}: {marker.kind} ({marker.reason})")
