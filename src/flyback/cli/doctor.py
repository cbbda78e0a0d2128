"""`flyback doctor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, also_region_flag, chosen_options
from flyback.cli.screen import announce, document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("doctor")
@click.argument("job", type=click.Path(path_type=Path), required=False)
@account_flags
@also_region_flag
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--policy", is_flag=True, help="Print the IAM policy that you need, and no more.")
@click.option("--managed", is_flag=True, help="With --policy: as a list of managed policies.")
@click.option("--ci", is_flag=True, help="With --policy: also what `up --ci` needs.")
def command(
    *, job: Path | None, as_json: bool, policy: bool, managed: bool, ci: bool, **flags: Any
) -> None:
    """Check what a run needs: credentials, region, quotas, deployment, image, clock, tools.

    Quotas are told for each market. The market that JOB asks first decides; without JOB it is
    spot, for one g4dn.xlarge.

    Each line passes, fails with its remedy, or says why it could not be checked. The exit code is 0
    where nothing failed, 4 where the account must mend it, 2 where you can.

    With --policy it checks nothing: it prints what whoever administers the account must allow you,
    as one inline policy of a role, or as managed policies, each no longer than AWS takes it. It is
    derived from the schemas of the templates' resource types and from the calls of rehearsals; it
    has never met real AWS. What `up --ci` needs, a role that GitHub may take, is left out without
    --ci.
    """
    _refuse_idle(job, policy=policy, managed=managed, ci=ci)
    if policy:
        own = api.own_policy(chosen_options(flags), ci=ci)
        click.echo(json.dumps(api.in_parts(own) if managed else own, indent=2))
        if not managed and (excess := api.excess(own)):
            announce(excess)
        return
    from flyback.results.standing import findings_view

    findings = api.doctor(chosen_options(flags), job)
    if as_json:
        document([encode(item) for item in findings])
    else:
        show(findings_view(findings))
    sys.exit(max(item.exit_code for item in findings))


def _refuse_idle(job: Path | None, *, policy: bool, managed: bool, ci: bool) -> None:
    """What would do nothing.

    Raises:
        click.UsageError: a flag of --policy without it, or a JOB with it.
    """
    for flag, given in (("--managed", managed), ("--ci", ci)):
        if given and not policy:
            raise click.UsageError(f"{flag} goes with --policy")
    if policy and job is not None:
        raise click.UsageError("--policy takes no JOB: what it prints allows any")
