"""`flyback down`."""

from __future__ import annotations

from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.outcome import certify
from flyback.cli.screen import document, show
from flyback.errors import UserError
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

    options = chosen_options(flags, quiet=as_json)
    full = {bucket: count for bucket, count in api.stored_objects(options).items() if count}
    if full and not keep_data and not yes:
        _ask(full)
    certificate = api.down(options, keep_data=keep_data)
    if as_json:
        document(encode(certificate))
    else:
        show(certificate_view(certificate))
    certify(certificate)


def _ask(full: dict[str, int]) -> None:
    """Nobody loses data without a word.

    Raises:
        UserError: the answer is no, or nobody can be asked.
    """
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
