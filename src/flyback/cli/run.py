"""`flyback run`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from flyback import api
from flyback.cli.options import (
    account_flags,
    also_region_flag,
    chosen_options,
    job_flags,
    preset_of,
)
from flyback.cli.outcome import conclude, show_run
from flyback.cli.patience import cut_off, wait_or_detach
from flyback.cli.screen import announce, document

__all__ = ["command"]


@click.command("run")
@job_flags
@account_flags
@click.option("--engine", type=click.Choice(["local", "ec2", "batch"]), help="Where it runs.")
@click.option("--run-id", help="The run's name; the same again goes on with it.")
@also_region_flag
@click.option("--detach", is_flag=True, help="Launch and return.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document as last line.")
def command(  # click hands over each flag by name
    *,
    job: Path,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    engine: Any,
    run_id: str | None,
    detach: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Launch JOB, watch it, bring it home.

    OVERRIDES are key=value, key=a,b (a sweep), +key=value, ~key. Ctrl-C once detaches, twice stops.
    """
    known = frozenset(api.run_ids())
    try:
        run = api.run(
            job,
            overrides=overrides,
            preset=preset_of(smoke=smoke, full=full, preset=preset),
            engine=engine,
            options=dataclasses.replace(chosen_options(flags, job.parent), run_id=run_id),
        )
    except KeyboardInterrupt:
        cut_off(frozenset(api.run_ids()) - known)
        raise
    if detach:
        if as_json:
            document({"run_id": run.run_id})
        announce(f"launched {run.run_id}: `flyback logs -f {run.run_id}` follows it")
        return
    marker = wait_or_detach(run)
    if marker is None:
        return
    show_run(run, as_json=as_json)
    conclude(marker, run.certificate())
