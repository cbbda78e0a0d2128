"""`flyback attach`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.outcome import conclude, show_run
from flyback.cli.patience import wait_or_detach

__all__ = ["command"]


@click.command("attach")
@click.argument("run_id", required=False)
@profile_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document as last line.")
def command(*, run_id: str | None, profile: str | None, as_json: bool) -> None:
    """Go on with RUN_ID, or the latest run, as if this terminal had never left it.

    A launch that was cut off is completed: its machine is found by its tags, or asked for again by
    the stored request.
    """
    run = api.open_run(run_id, options=chosen_options({"profile": profile})).attach()
    marker = wait_or_detach(run)
    if marker is None:
        return
    show_run(run, as_json=as_json)
    conclude(marker, run.certificate())
