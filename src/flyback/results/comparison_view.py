"""A comparison as a terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flyback.results.figures import NOT_AVAILABLE, format_microseconds
from flyback.results.history import CellHistory
from flyback.spec.comparison import CellComparison, Comparison

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["comparison_view", "history_view"]

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


def history_view(histories: Sequence[CellHistory]) -> RenderableType:
    """One row per change of level; cells without one have a row of their own."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("cell", overflow="fold")
    for title in ("n", "latest µs", "changed by"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("since", no_wrap=True)
    table.add_column("commit", no_wrap=True)
    varying = _varying(histories)
    for cell in histories:
        head = (_label(cell, varying), str(cell.n), format_microseconds(cell.p50_ns))
        if not cell.changes:
            table.add_row(*head, "no change", "", "")
        for change in cell.changes:
            style = _STYLES["slower" if change.ratio > 1 else "faster"]
            by = Text(f"{change.ratio - 1:+.1%}", style=style)
            table.add_row(*head, by, change.ts_utc, change.git_sha[:9])
    notes = [
        Text(f"{_label(cell, varying)}: {cell.reason}", style="yellow")
        for cell in histories
        if cell.reason
    ]
    return Group(table, *notes)


def _varying(cells: Sequence[CellComparison | CellHistory]) -> Mapping[str, list[str]]:
    """Workload → parameters in which its cells differ."""
    found: dict[str, list[str]] = {}
    for workload in {cell.workload for cell in cells}:
        alike = [cell.params for cell in cells if cell.workload == workload]
        names = dict.fromkeys(name for params in alike for name in params)
        values = {name: {repr(params.get(name)) for params in alike} for name in names}
        found[workload] = [name for name in names if len(values[name]) > 1]
    return found


def _label(cell: CellComparison | CellHistory, varying: Mapping[str, list[str]]) -> str:
    params: Mapping[str, Any] = cell.params
    own = varying[cell.workload]
    return " ".join([cell.workload, *(f"{name}={params.get(name)}" for name in own)])
