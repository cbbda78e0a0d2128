"""`flyback ps`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.screen import announce, document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("ps")
@profile_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, profile: str | None, as_json: bool) -> None:
    """List the runs that were launched from this machine, and how they stand."""
    from flyback.results.views import runs_view

    options = chosen_options({"profile": profile})
    standings = [api.standing(run_id, options=options) for run_id in api.run_ids()]
    if as_json:
        document([encode(item) for item in standings])
    elif standings:
        show(runs_view(standings))
    else:
        announce("no run was launched from here; `flyback rehearse JOB` needs no account")
