"""`flyback plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flyback import api
from flyback.cli.options import chosen_options, job_flags, preset_of
from flyback.cli.screen import document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("plan")
@job_flags
@click.option("--engine", type=click.Choice(["local", "ec2", "batch"]), help="Where it runs.")
@click.option("--region", help="AWS region.")
@click.option("--profile", help="AWS profile, whose region counts where none is named.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click hands over each flag by name
    *,
    job: Path,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    engine: Any,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show what JOB would ask for and cost. Needs no account; creates nothing.

    OVERRIDES are key=value, key=a,b (a sweep), +key=value, ~key.
    """
    from flyback.results.views import plan_view

    made = api.plan(
        job,
        overrides=overrides,
        preset=preset_of(smoke=smoke, full=full, preset=preset),
        engine=engine,
        options=chosen_options(flags, job.parent),
    )
    if as_json:
        document(encode(made))
    else:
        show(plan_view(made))
