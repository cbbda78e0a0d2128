"""`flyback up`."""

from __future__ import annotations

from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.screen import announce, document
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("up")
@account_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, as_json: bool, **flags: Any) -> None:
    """Deploy flyback into your AWS account. A second `up` changes nothing."""
    deployment = api.up(chosen_options(flags, quiet=as_json))
    if as_json:
        document(encode(deployment))
        return
    announce(f"deployed: {deployment.name}; runs go to {deployment.store_url}")
