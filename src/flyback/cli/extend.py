"""`flyback extend`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import chosen_options, profile_flag
from flyback.cli.screen import announce

__all__ = ["command"]


@click.command("extend")
@click.argument("run_id", required=False)
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Hours to add.",
)
@profile_flag
def command(*, run_id: str | None, hours: float, profile: str | None) -> None:
    """Move the deadline of RUN_ID, or of the latest run, later: all of its timers or none."""
    run = api.open_run(run_id, options=chosen_options({"profile": profile}))
    announce(f"{run.run_id}: {run.extend(hours)}")
    if run.is_followed():
        announce("the machine's own timer has moved too")
    else:
        announce(
            "the machine has not confirmed yet that its own timer has moved: it looks each minute, "
            "and until then may end at the old deadline, saving first"
        )
