"""`flyback reap`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.outcome import ASK
from flyback.cli.screen import announce, document
from flyback.errors import LeftoversError

__all__ = ["command"]


@click.command("reap")
@account_flags
@click.option("--yes", is_flag=True, help="Remove what is listed, but not stored data.")
@click.option("--data", is_flag=True, help="With --yes: also buckets, with all that they hold.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click passes them by name
    *,
    cloud: str | None,
    region: str | None,
    profile: str | None,
    name: str | None,
    yes: bool,
    data: bool,
    as_json: bool,
) -> None:
    """List what belongs to flyback, bills, and is held by nothing; --yes removes it.

    What the deployment is made of and machines before their deadline stay; all of it while one of
    its stacks is at work. What holds data, as after `flyback down --keep-data`, goes only with
    --data. Nothing is touched that does not carry the deployment's tag, whatever its name.
    Deployments in other regions keep theirs, of the same name too.
    """
    flags = {"cloud": cloud, "region": region, "profile": profile, "name": name}
    found = api.reap(chosen_options(flags, quiet=as_json), remove=yes, data=data)
    if as_json:
        from flyback.spec.codec import encode

        document(encode(found))
    else:
        _tell(found)
    left = found.failed if yes else tuple(item.identifier for item in found.leftovers)
    if left:
        raise LeftoversError(
            f"{len(left)} left: {'; '.join(left)}",
            where="flyback reap",
            remedy="see to what each says, then `flyback reap --yes` again"
            if yes
            else "`flyback reap --yes` removes them",
        )
    if found.refused:
        raise LeftoversError(
            f"{len(found.refused)} kinds could not be asked for", where="flyback reap", remedy=ASK
        )


def _tell(found: api.Reaped) -> None:
    for item in found.leftovers:
        announce(f"{item.kind} {item.identifier}\n    {item.remedy}")
    for text in found.unsettled:
        announce(f"{text}: what it holds is not known, and stays")
    for text in found.refused:
        announce(f"not asked for {text}")
    if not found.leftovers and not found.unsettled:
        announce("nothing was found" if found.refused else "nothing is left over")
