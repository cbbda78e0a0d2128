"""`flyback rehearsal serve`."""

from __future__ import annotations

import click

from flyback import api
from flyback.spec.settings import DEFAULT_REGION

__all__ = ["command"]


@click.group("rehearsal")
def command() -> None:
    """An emulated cloud for any AWS client."""


@command.command("serve")
@click.option("--port", type=int, default=0, help="Loopback port; 0 takes a free one.")
@click.option("--region", default=DEFAULT_REGION, show_default=True, help="The account's region.")
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="Simulated seconds per second."
)
@click.option("--root", is_flag=True, help="Keys of the root user, not of a deployer.")
@click.option("--ci", is_flag=True, help="Keys of a deployer who may run `up --ci` too.")
def serve(*, port: int, region: str, speed: float, root: bool, ci: bool) -> None:
    """Keep an emulated cloud up and print the environment that points AWS clients at it."""
    api.serve(port=port, region=region, speed=speed, announce=click.echo, root=root, ci=ci)
