"""`flyback doctor`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.screen import document, show
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("doctor")
@account_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--policy", is_flag=True, help="Print the IAM policy that you need, and no more.")
def command(*, as_json: bool, policy: bool, **flags: Any) -> None:
    """Check what a run needs: credentials, region, quotas, deployment, image, clock, tools.

    Each line passes, fails with its remedy, or says why it could not be checked. The exit code is 0
    where nothing failed, 4 where the account must mend it, 2 where you can.

    With --policy it checks nothing: it prints what whoever administers the account must allow you.
    """
    if policy:
        click.echo(json.dumps(api.own_policy(chosen_options(flags)), indent=2))
        return
    from flyback.results.standing import findings_view

    findings = api.doctor(chosen_options(flags))
    if as_json:
        document([encode(item) for item in findings])
    else:
        show(findings_view(findings))
    sys.exit(max(item.exit_code for item in findings))
