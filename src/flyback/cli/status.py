"""`flyback status`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.screen import document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("status")
@click.argument("run_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, run_id: str | None, as_json: bool) -> None:
    """Show how RUN_ID, or the latest run, stands: health, time, spend so far, storage."""
    from flyback.results.standing import status_view

    status = api.open_run(run_id).status()
    if as_json:
        document(encode(status))
    else:
        show(status_view(status))
