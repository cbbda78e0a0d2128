"""`flyback stop`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.outcome import certify, show_run
from flyback.cli.screen import announce

__all__ = ["command"]


@click.command("stop")
@click.argument("run_id", required=False)
@profile_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, profile: str | None, as_json: bool) -> None:
    """End RUN_ID, or the latest run, and wait until its machine is gone."""
    options = chosen_options({"profile": profile}, quiet=as_json)
    run = api.open_run(run_id, options=options)
    marker = run.stop()
    show_run(run, as_json=as_json)
    if not as_json:
        announce(f"{run.run_id}: {marker.kind} ({marker.reason})")
    certify(run.certificate())
