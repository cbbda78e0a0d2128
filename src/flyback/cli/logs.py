"""`flyback logs`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag

__all__ = ["command"]


@click.command("logs")
@click.argument("run_id", required=False)
@profile_flag
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
def command(*, run_id: str | None, profile: str | None, follow: bool) -> None:
    """Show the output of RUN_ID, or of the latest run."""
    try:
        for line in api.open_run(run_id, options=chosen_options({"profile": profile})).logs(
            follow=follow
        ):
            click.echo(line)
    except KeyboardInterrupt:
        click.echo("the run goes on", err=True)
