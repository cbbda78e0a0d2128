"""`flyback verify`."""

from __future__ import annotations

from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.screen import announce, document
from flyback.errors import RegressionError, UserError

__all__ = ["command"]


@click.command("verify")
@account_flags
@click.option("--yes", is_flag=True, help="Spend the cents.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report.")
def command(*, yes: bool, as_json: bool, **flags: Any) -> None:
    """Compare your account with the rehearsal: two small machines for minutes, a few cents.

    Both do the same under the lease, and every call's answer is compared. The report holds no ids;
    sent to us, it makes the rehearsal truer. Exit code 5 where the rehearsal is wrong.
    """
    if not yes:
        raise UserError(
            "this launches two small machines, one after the other, for at most $0.25 each",
            where="flyback verify",
            remedy="say --yes",
        )
    found = api.verify(chosen_options(flags, quiet=as_json))
    if as_json:
        from flyback.spec.codec import encode

        document(encode(found))
    else:
        _tell(found)
    if found.findings:
        raise RegressionError(
            f"the rehearsal differs in {len(found.findings)} things that count",
            where="flyback verify",
            remedy="send us the report; what it says about your account holds",
        )


def _tell(found: api.Verification) -> None:
    for topic, seen in found.cloud.facts.items():
        announce(f"{topic}: {seen}")
    for item in found.findings:
        announce(f"differs: {item.topic}: {item.cloud}; the rehearsal: {item.rehearsal}")
    noted = len(found.differences) - len(found.findings)
    announce(f"{len(found.cloud.calls)} operations compared; {noted} fields are answered here only")
