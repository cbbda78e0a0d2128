"""`flyback audit`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyback import api
from flyback.cli.options import chosen_options, job_flags, preset_of
from flyback.cli.screen import document, show
from flyback.errors import RegressionError
from flyback.spec.codec import encode

__all__ = ["command"]


@click.group("audit")
def command() -> None:
    """Check what is granted, and what is used of it."""


@command.command("footprint")
@job_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def footprint(  # click hands over each flag by name
    *,
    job: Path,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    as_json: bool,
) -> None:
    """Rehearse JOB and set the permissions that it uses against those granted, by principal.

    Needs no account. The exit code is 5 where a grant is wider than it need be, or where a request
    was refused.
    """
    from flyback.results.standing import footprint_view

    found = api.footprint(
        job,
        overrides=overrides,
        preset=preset_of(smoke=smoke, full=full, preset=preset),
        options=chosen_options({"cloud": "rehearsal"}, job.parent),
    )
    if as_json:
        document(encode(found))
    else:
        show(footprint_view(found.principals))
    sys.exit(RegressionError.exit_code if found.findings else 0)
