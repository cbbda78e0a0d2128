"""`flyback crossover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyback import api
from flyback.cli.options import preset_of, workload_flags
from flyback.cli.screen import announce, document, show
from flyback.errors import JobFailedError, UserError
from flyback.spec.codec import encode

if TYPE_CHECKING:
    from flyback.results.crossover import Between

__all__ = ["command"]


@click.command("crossover")
@workload_flags
@click.option(
    "--between",
    default="device=cpu,cuda",
    show_default=True,
    metavar="KEY=A,B",
    help="The two sides; ratios above 1 say that B wins.",
)
@click.option(
    "--along", multiple=True, metavar="KEY", help="A size that grows; all that vary if none."
)
@click.option("--usd-per-hour", type=float, nargs=2, help="Prices of a machine with A and with B.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("crossover"),
    help="Folder of the results.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # click hands over each flag by name
    *,
    workload: str,
    overrides: tuple[str, ...],
    smoke: bool,
    full: bool,
    preset: str | None,
    between: str,
    along: tuple[str, ...],
    usd_per_hour: tuple[float, float] | None,
    restarts: int,
    out: Path,
    as_json: bool,
) -> None:
    """Measure WORKLOAD on two devices in turns, and from which size on the second wins.

    In latency, throughput and dollars, with intervals and numeric agreement. OVERRIDES are
    key=value, or key=a,b for several sizes. Exit code 1 where a size has no ratio.
    """
    from flyback.results.crossover_view import crossover_view

    sides = _between(between, usd_per_hour)
    benchmark = api.prepare_bench(
        workload,
        overrides,
        preset=preset_of(smoke=smoke, full=full, preset=preset),
        restarts=restarts,
        between=sides,
    )
    found, answers = api.crossover(benchmark, sides, out, along, report=announce)
    if as_json:
        document({"between": encode(sides), "pairs": encode(found), "crossovers": encode(answers)})
    else:
        show(crossover_view(found, answers, sides))
        announce(f"files: {out}")
    failed = [pair.reason for pair in found if pair.reason]
    if failed:
        raise JobFailedError(
            f"{len(failed)} of {len(found)} have no ratio", where=workload, remedy=failed[0]
        )


def _between(text: str, prices: tuple[float, float] | None) -> Between:
    from flyback.results.crossover import Between
    from flyback.workloads.parameters import parse_words

    name, _, values = text.partition("=")
    sides = [parse_words([f"{name}={value}"])[name] for value in values.split(",") if name]
    if len(sides) != 2 or sides[0] == sides[1]:  # noqa: PLR2004  # two sides
        raise UserError(
            f"{text!r} is no key=a,b", where="--between", remedy="write for example device=cpu,cuda"
        )
    a, b = prices or (None, None)
    return Between(parameter=name, a=sides[0], b=sides[1], a_usd_hour=a, b_usd_hour=b)
