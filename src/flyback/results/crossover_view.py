"""Two devices beside each other, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flyback.results.crossover import Between, Crossover, Pair
from flyback.results.figures import (
    NOT_AVAILABLE,
    format_db,
    format_microseconds,
    format_usd,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["crossover_view", "said"]


def crossover_view(
    found: Sequence[Pair], answers: Sequence[Crossover], between: Between
) -> RenderableType:
    """One row per size, then from where on B wins; rows without ratios with their reason."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    varying = _varying(found)
    only = varying[0] if len(varying) == 1 else ""
    table.add_column(only or "size", overflow="fold")
    titles = ("A µs", "B µs", "latency", "99 % interval", "throughput", "dollars", "agree dB")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for pair in found:
        low, high = pair.interval or (None, None)
        table.add_row(
            str(pair.params.get(only)) if only else _label(pair.params, varying),
            format_microseconds(pair.a_p50_ns),
            format_microseconds(pair.b_p50_ns),
            _ratio(pair.latency),
            NOT_AVAILABLE if low is None else f"{low:.3g} to {high:.3g}",
            _ratio(pair.throughput),
            _ratio(pair.dollars),
            format_db(pair.agreement_db),
        )
    sides = f"A is {between.name('a')}, B is {between.name('b')}; above 1x B wins"
    costs = [
        Text(
            f"{_label(pair.params, varying)}: a million {pair.item}s cost "
            f"{_million(pair.a_usd)} on A, {_million(pair.b_usd)} on B"
        )
        for pair in found
        if pair.a_usd is not None or pair.b_usd is not None
    ]
    missing = [
        Text(f"{_label(pair.params, varying)}: {pair.reason}", style="yellow")
        for pair in found
        if pair.reason
    ]
    lines = [Text(said(answer, between)) for answer in answers]
    return Group(table, *missing, *costs, *lines, Text(sides, style="dim"))


def said(answer: Crossover, between: Between) -> str:
    """One crossover as a sentence."""
    fixed = " ".join(f"{name}={value}" for name, value in answer.fixed.items())
    where = f"{answer.metric}{f' at {fixed}' if fixed else ''}"
    if answer.at is None:
        return f"{where}: {between.name('b')} never wins up to {answer.along}={answer.upto}"
    return f"{where}: {between.name('b')} wins from {answer.along}={answer.at} on"


def _million(usd: float | None) -> str:
    return NOT_AVAILABLE if usd is None else format_usd(usd * 1e6)


def _ratio(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.3g}x"


def _varying(found: Sequence[Pair]) -> list[str]:
    names = dict.fromkeys(name for pair in found for name in pair.params)
    return [name for name in names if len({repr(pair.params.get(name)) for pair in found}) > 1]


def _label(params: Mapping[str, Any], varying: Sequence[str]) -> str:
    return " ".join(f"{name}={params.get(name)}" for name in varying) or "the only one"
