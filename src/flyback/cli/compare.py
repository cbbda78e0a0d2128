"""`flyback compare`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.screen import document, show
from flyback.errors import RegressionError
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option(
    "--least-effect",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.03,
    show_default=True,
    help="Changes smaller than this share are none.",
)
@click.option(
    "--across", multiple=True, metavar="FIELD", help="A field of the fingerprint that may differ."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, a: str, b: str, least_effect: float, across: tuple[str, ...], as_json: bool) -> None:
    """Compare the results B with A: faster, slower, the same, or undecided.

    A and B are run ids, folders or results.jsonl files. Exit code 5 where anything is slower.
    """
    from flyback.results.comparison_view import comparison_view

    found = api.compare(a, b, least_effect=least_effect, across=across)
    if as_json:
        document(encode(found))
    else:
        show(comparison_view(found))
    if found.regressed:
        count = sum(cell.verdict == "slower" for cell in found.cells)
        raise RegressionError(
            f"{count} of {len(found.cells)} cells are slower", where=b, remedy=f"baseline: {a}"
        )
