"""What a person sees: progress on standard error, answers on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["announce", "document", "reporter", "show"]

_STAGES = {
    "deploy": "cyan",
    "launch": "blue",
    "run": "green",
    "collect": "magenta",
    "teardown": "yellow",
}


def reporter(*, quiet: bool = False) -> Callable[[str, str], None]:
    """Prints each step as it happens, with its stage in front."""

    def report(stage: str, text: str) -> None:
        if not quiet:
            click.echo(f"{click.style(f'{stage:>8}', fg=_STAGES.get(stage))}  {text}", err=True)

    return report


def announce(text: str) -> None:
    """A sentence beside the answer."""
    click.echo(text, err=True)


def show(*answers: RenderableType) -> None:
    """Tables and text, on standard output."""
    console = _console()
    for answer in answers:
        console.print(answer)


def document(value: Any) -> None:
    """One compact JSON document as one line."""
    click.echo(json.dumps(value, separators=(",", ":"), allow_nan=False))


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False)
