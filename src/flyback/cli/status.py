"""`flyback status`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.screen import document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("status")
@click.argument("run_id", required=False)
@profile_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, profile: str | None, as_json: bool) -> None:
    """Show how RUN_ID, or the latest run, stands: health, time, spend so far, storage."""
    from flyback.results.standing import status_view

    status = api.open_run(run_id, options=chosen_options({"profile": profile})).status()
    if as_json:
        document(encode(status))
    else:
        show(status_view(status))
