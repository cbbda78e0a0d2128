"""`flyback sync`."""

from __future__ import annotations

import json
import sys
import time

import click

# Not through `flyback.api`, which loads the whole product: an unchanged sync takes less time.
from flyback.store.meter import Progress, told
from flyback.store.sync import SyncPlan, sync

__all__ = ["command"]


@click.command("sync")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--delete", is_flag=True, help="Also remove from DST what SRC has not.")
@click.option("--checksum", is_flag=True, help="Compare contents, instead of times.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *, source: str, target: str, delete: bool, checksum: bool, dry_run: bool, as_json: bool
) -> None:
    """Make DST like SRC; each is a folder or a URL such as s3://bucket/prefix.

    Copies what is missing, has another size or is older. Every object is checked against its
    checksum, and a file has its name only when it is whole. Repeat the command after Ctrl-C, or
    whatever else ended it, and it goes on.
    """
    began = time.monotonic()
    plan = sync(
        source,
        target,
        delete=delete,
        checksum=checksum,
        dry_run=dry_run,
        report=None if as_json else _progress,
    )
    if sys.stderr.isatty() and not as_json:
        click.echo("\r\033[K", nl=False, err=True)
    _answer(plan, time.monotonic() - began, dry_run=dry_run, as_json=as_json)


def _progress(progress: Progress) -> None:
    """One line that renews itself; nothing where nobody watches."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{told(progress)}", nl=False, err=True)


def _answer(plan: SyncPlan, seconds: float, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        document = {
            "copied": len(plan.copies),
            "bytes": plan.bytes,
            "deleted": len(plan.deletes),
            "unchanged": plan.unchanged,
            "seconds": round(seconds, 3),
            "dry_run": dry_run,
        }
        click.echo(json.dumps(document))
        return
    if dry_run:
        for item in plan.copies:
            click.echo(f"copy    {item.key}")
        for key in plan.deletes:
            click.echo(f"delete  {key}")
    did = "would copy" if dry_run else "copied"
    click.echo(
        f"{did} {len(plan.copies)} files, {plan.bytes / 1e6:.1f} MB; "
        f"{len(plan.deletes)} deleted, {plan.unchanged} unchanged; {seconds:.1f} s"
    )
