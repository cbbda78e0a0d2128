"""A comparison as a terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flyback.results.figures import NOT_AVAILABLE, format_microseconds
from flyback.spec.comparison import CellComparison, Comparison

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["comparison_view"]

_STYLES = {"faster": "green", "slower": "red", "same": "", "undecided": "yellow"}


def comparison_view(comparison: Comparison) -> RenderableType:
    """One row per cell: both medians, their ratio with its interval, the verdict."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("cell", overflow="fold")
    for title in ("A µs", "B µs", "B / A", "99 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    varying = _varying(comparison.cells)
    for cell in comparison.cells:
        style = _STYLES.get(cell.verdict, "magenta")
        table.add_row(
            _label(cell, varying),
            format_microseconds(cell.a_p50_ns),
            format_microseconds(cell.b_p50_ns),
            NOT_AVAILABLE if cell.ratio is None else f"{cell.ratio:.3f}",
            NOT_AVAILABLE if cell.low is None else f"{cell.low:.3f} to {cell.high:.3f}",
            Text(cell.verdict, style=style),
        )
    notes = [
        Text(f"{_label(cell, varying)}: {cell.reason}", style="yellow")
        for cell in comparison.cells
        if cell.reason
    ]
    rule = (
        f"A change counts from {comparison.least_effect:.0%} on; an interval that reaches across "
        "that border is undecided."
    )
    return Group(table, *notes, Text(rule, style="dim"))


def _varying(cells: Sequence[CellComparison]) -> list[str]:
    names = dict.fromkeys(name for cell in cells for name in cell.params)
    return [name for name in names if len({repr(cell.params.get(name)) for cell in cells}) > 1]


def _label(cell: CellComparison, varying: Sequence[str]) -> str:
    params: Mapping[str, Any] = cell.params
    return " ".join([cell.workload, *(f"{name}={params.get(name)}" for name in varying)])
