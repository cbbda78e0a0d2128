"""`flyback collect`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.outcome import conclude, show_run
from flyback.cli.screen import announce

__all__ = ["command"]


@click.command("collect")
@click.argument("run_id", required=False)
@profile_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, profile: str | None, as_json: bool) -> None:
    """Bring the files of RUN_ID, or of the latest run, home; account for it and certify."""
    options = chosen_options({"profile": profile}, quiet=as_json)
    run = api.open_run(run_id, options=options)
    marker = run.collect()
    if marker is None:
        announce(f"{run.run_id} goes on; what there is so far: {run.folder}")
        return
    show_run(run, as_json=as_json)
    conclude(marker, run.certificate())
