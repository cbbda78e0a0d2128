"""`flyback compare`."""

from __future__ import annotations

import click

from flyback import api
from flyback.cli.options import least_effect_flag
from flyback.cli.outcome import refuse_slower
from flyback.cli.screen import document, show
from flyback.errors import RegressionError, UserError
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("compare")
@click.argument("places", nargs=-1, metavar="A B | --history [PLACE]...")
@click.option("--history", is_flag=True, help="Where levels changed over many results.")
@least_effect_flag
@click.option(
    "--across", multiple=True, metavar="FIELD", help="A field of the fingerprint that may differ."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click hands over each flag by name
    *,
    places: tuple[str, ...],
    history: bool,
    least_effect: float,
    across: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare the results B with A: faster, slower, the same, or undecided.

    A and B are run ids, folders or results.jsonl files. Exit code 5 where anything is slower, else
    1 where a cell has no figures to compare or B lacks it. With --history: any number of them, or
    all runs here, and where the level of each cell changed; exit code 5 where a latest level is
    slower than the one before.
    """
    if history:
        _history(places, least_effect, as_json=as_json)
        return
    if len(places) != 2:  # noqa: PLR2004  # two sides
        raise UserError(
            f"two sides are compared, not {len(places)}",
            where="compare",
            remedy="name A and B, or add --history",
        )
    a, b = places
    from flyback.results.comparison_view import comparison_view

    found = api.compare(a, b, least_effect=least_effect, across=across)
    if as_json:
        document(encode(found))
    else:
        show(comparison_view(found))
    refuse_slower(found, where=b, baseline=a)


def _history(places: tuple[str, ...], least_effect: float, *, as_json: bool) -> None:
    from flyback.results.comparison_view import history_view
    from flyback.results.figures import format_count

    found = api.compare_history(places, least_effect=least_effect)
    if as_json:
        document(encode(found))
    else:
        show(history_view(found))
    slower = sum(cell.regressed for cell in found)
    if slower:
        raise RegressionError(
            f"{slower} of {format_count(len(found), 'cell')} became slower at the latest change",
            where="history",
        )
