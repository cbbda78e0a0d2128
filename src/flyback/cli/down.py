"""`flyback down`."""

from __future__ import annotations

from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.screen import document, reporter, show
from flyback.errors import LeftoversError, UserError
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("down")
@account_flags
@click.option("--keep-data", is_flag=True, help="Leave the buckets that hold objects.")
@click.option("--yes", is_flag=True, help="Do not ask before objects are deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, keep_data: bool, yes: bool, as_json: bool, **flags: Any) -> None:
    """Remove flyback from the account and prove, service by service, that nothing is left."""
    from flyback.results.views import certificate_view

    options = chosen_options(flags)
    if not keep_data and not yes:
        _ask(api.stored_objects(options))
    certificate = api.down(options, keep_data=keep_data, report=reporter(quiet=as_json))
    if as_json:
        document(encode(certificate))
    else:
        show(certificate_view(certificate))
    if not certificate.clean and not keep_data:
        raise LeftoversError(
            f"{len(certificate.leftovers)} things are left",
            where=f"account {certificate.account}, region {certificate.region}",
            remedy="the certificate names each with the command that removes it",
        )


def _ask(stored: dict[str, int]) -> None:
    """Nobody loses data without a word.

    Raises:
        UserError: the answer is no, or nobody can be asked.
    """
    full = {bucket: count for bucket, count in stored.items() if count}
    if not full:
        return
    names = ", ".join(f"{bucket} ({count} object versions)" for bucket, count in full.items())
    try:
        agreed = click.confirm(f"This deletes all objects in {names}. Go on?", err=True)
    except click.exceptions.Abort:
        agreed = False
    if not agreed:
        raise UserError(
            "nothing was removed",
            where="flyback down",
            remedy="--keep-data leaves the buckets; --yes deletes without asking",
        )
