"""`flyback rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from flyback import api
from flyback.cli.options import chosen_options, job_flags, preset_of
from flyback.cli.outcome import conclude
from flyback.cli.screen import announce, document, show

__all__ = ["command"]


@click.command("rehearse")
@job_flags
@click.option("--region", help="Region of the emulated account.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that chance decides.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND:…",
    help="Let something go wrong: throttle:0.1, capacity:us-east-1a, interrupt:at=40s, …",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="You may do what this IAM policy allows, not everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document as last line.")
def command(  # click hands over each flag by name
    *,
    job: Path,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    region: str | None,
    seed: int,
    faults: tuple[str, ...],
    policy: Path | None,
    as_json: bool,
) -> None:
    """Run JOB through the whole cloud path, emulated on this machine.

    No account, no credentials and no network are needed, and nothing is billed.
    """
    from flyback.results.table import results_view
    from flyback.results.views import attempts_view, certificate_view, receipt_view

    shown = api.rehearse(
        job,
        overrides=overrides,
        preset=preset_of(smoke=smoke, full=full, preset=preset),
        options=chosen_options({"cloud": "rehearsal", "region": region}, job.parent),
        setting=api.Setting(
            seed=seed, faults=faults, policy=api.read_policy(policy) if policy else None
        ),
    )
    if as_json:
        document(shown.summary())
    else:
        show(results_view(shown.results))
        tries = attempts_view(shown.attempts)
        if tries is not None:
            show(tries)
        show(receipt_view(shown.receipt), certificate_view(shown.certificate))
        announce(f"files: {shown.folder}")
    conclude(shown.marker, shown.run_certificate, shown.certificate)
