"""Result lines as a table: one row per cell, nothing left out, and why a figure is missing.

What all rows share stands once below the table, so that 80 columns are enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flyback.results.figures import (
    NOT_AVAILABLE,
    format_db,
    format_margin,
    format_microseconds,
    format_value,
)
from flyback.spec.result import Result

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

__all__ = ["Column", "ResultTable", "as_text", "result_table", "results_view", "with_missing"]

_GAPS = (2, 1)  # blanks between columns: two where there is room
_EDGES = 2  # a drawn table begins and ends with a blank
_WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading, which may have two lines, and the cells under it.

    Args:
        optional: Whether it may be left out where the screen is narrow.
    """

    title: str
    cells: tuple[str, ...]
    numeric: bool = True
    optional: bool = False

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(text) for text in (*self.title.split("\n"), *self.cells))

    @property
    def name(self) -> str:
        """Its heading in one line."""
        return self.title.replace("\n", " ")


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """A table, ready to be drawn.

    Args:
        columns: Left to right, all of one length.
        shared: What all rows have in common.
        notes: Why a figure is missing, one sentence for each cause.
    """

    columns: tuple[Column, ...]
    shared: str
    notes: tuple[str, ...]

    def width(self, gap: int) -> int:
        """Characters of a row with so many blanks between columns."""
        return sum(column.width for column in self.columns) + gap * (len(self.columns) - 1)

    def gap(self, width: int) -> int:
        """Blanks between columns that leave it no wider than `width`, if any do."""
        return next((gap for gap in _GAPS if self.width(gap) <= width), _GAPS[-1])

    def narrowed(self, width: int) -> ResultTable:
        """Leave out optional columns, the last ones first, until it is no wider than `width`."""
        narrow = self
        out: list[str] = []
        while narrow.width(_GAPS[-1]) > width:
            optional = [column for column in narrow.columns if column.optional]
            if not optional:
                break
            out.insert(0, optional[-1].name)
            kept = tuple(column for column in narrow.columns if column is not optional[-1])
            narrow = replace(narrow, columns=kept)
        if not out:
            return self
        note = f"too wide to show: {', '.join(out)}; results.jsonl has everything"
        return replace(narrow, notes=(*self.notes, note))


def with_missing(
    results: Sequence[Result], cells: Sequence[Mapping[str, Any]], reason: str
) -> tuple[Result, ...]:
    """The results, and a line of status `error` for each cell that has none.

    Args:
        results: What there is.
        cells: Parameters of every cell that was asked for (`JobSpec.cells`).
        reason: Why the others are missing.
    """
    found = {result.cell for result in results}
    missing = [
        Result(cell=number, params=params, status="error", reason=reason)
        for number, params in enumerate(cells)
        if number not in found
    ]
    return tuple(sorted((*results, *missing), key=lambda result: result.cell))


def result_table(results: Sequence[Result]) -> ResultTable:
    """Lay results out; at least one is needed.

    Times are in microseconds, margins are signal time per wall time.
    """
    rows = sorted(results, key=lambda result: result.cell)
    varying, fixed = _parameters(rows)
    columns = [
        Column(title="cell", cells=tuple(str(row.cell) for row in rows)),
        *varying,
        *_status(rows),
        *_latency(rows),
        *_margin(rows),
        *_accuracy(rows),
        *_values(rows),
        *_backend(rows),
    ]
    return ResultTable(
        columns=tuple(columns), shared=_shared(rows, fixed), notes=tuple(_notes(rows))
    )


def as_text(table: ResultTable, width: int = _WIDTH) -> str:
    """The table in plain characters, without colour."""
    narrow = table.narrowed(width)
    gap = " " * narrow.gap(width)

    def line(texts: Sequence[str]) -> str:
        parts = [
            text.rjust(column.width) if column.numeric else text.ljust(column.width)
            for text, column in zip(texts, narrow.columns, strict=True)
        ]
        return gap.join(parts).rstrip()

    titles = [column.title.split("\n") for column in narrow.columns]
    body = zip(*(column.cells for column in narrow.columns), strict=True)
    lines = [
        *([line([words[0] if words[1:] else "" for words in titles])] if _has_two(titles) else []),
        line([words[-1] for words in titles]),
        line(["-" * column.width for column in narrow.columns]),
        *(line(texts) for texts in body),
        *([narrow.shared] if narrow.shared else []),
        *narrow.notes,
    ]
    return "\n".join(lines) + "\n"


def _has_two(titles: Sequence[Sequence[str]]) -> bool:
    return any(len(words) > 1 for words in titles)


def results_view(results: Sequence[Result]) -> RenderableType:
    """The table for a terminal, as wide as that is."""
    return _View(results)


class _View:
    def __init__(self, results: Sequence[Result]) -> None:
        self._results = results

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        del console
        if not self._results:
            yield Text("no result lines", style="yellow")
            return
        width = options.max_width - _EDGES
        table = result_table(self._results).narrowed(width)
        padding = table.gap(width) - 1  # the box draws one blank between columns
        drawn = Table(box=box.SIMPLE_HEAD, padding=(0, padding, 0, 0), pad_edge=False)
        for column in table.columns:
            drawn.add_column(
                Text(column.title),
                justify="right" if column.numeric else "left",
                vertical="bottom",
                overflow="fold",
                no_wrap=column.numeric,
            )
        for texts in zip(*(column.cells for column in table.columns), strict=True):
            drawn.add_row(*(_styled(text) for text in texts))
        yield drawn
        if table.shared:
            yield Text(table.shared, style="dim")
        for note in table.notes:
            yield Text(note, style="yellow")


def _styled(text: str) -> RenderableType:
    from rich.text import Text

    style = {NOT_AVAILABLE: "dim", "ok": "green", "error": "red", "invalid": "red"}
    return Text(text, style=style.get(text, ""))


def _parameters(rows: Sequence[Result]) -> tuple[list[Column], dict[str, str]]:
    """Columns of the parameters that differ, and the values of those that don't.

    A row that lacks a parameter (its cell never ran) makes no difference.
    """
    varying, fixed = [], {}
    for name in dict.fromkeys(name for row in rows for name in row.params):
        values = [row.params[name] for row in rows if row.params.get(name) is not None]
        texts = [_plain(row.params[name]) if name in row.params else "" for row in rows]
        if len(set(texts) - {""}) > 1:
            numeric = all(_is_number(value) for value in values)
            varying.append(Column(title=name, cells=tuple(texts), numeric=numeric))
        elif values:
            fixed[name] = _plain(values[0])
    return varying, fixed


def _status(rows: Sequence[Result]) -> list[Column]:
    if all(row.status == "ok" for row in rows):
        return []
    return [Column(title="status", cells=tuple(row.status for row in rows), numeric=False)]


def _latency(rows: Sequence[Result]) -> list[Column]:
    if all(row.latency_ns is None for row in rows):
        return []
    counts = [(row.latency_ns or {}).get("n") for row in rows]
    columns = [
        Column(
            title=f"{name}\nµs",
            cells=_cells(rows, "latency_ns", name, format_microseconds),
            optional=name == "max",
        )
        for name in ("p50", "p99", "max")
    ]
    cells = tuple(NOT_AVAILABLE if n is None else f"{n:,}" for n in counts)
    return [*columns, Column(title="n", cells=cells)]


def _margin(rows: Sequence[Result]) -> list[Column]:
    if all(row.stream is None for row in rows):
        return []
    return [
        Column(
            title=f"margin\n{name}",
            cells=_cells(rows, "stream", f"margin_{name}", format_margin),
            optional=name == "p50",
        )
        for name in ("p50", "p99")
    ]


def _accuracy(rows: Sequence[Result]) -> list[Column]:
    """The gate's figure: SNR in dB, or whatever metric the workload names."""
    metrics = list(dict.fromkeys(str(row.accuracy["metric"]) for row in rows if row.accuracy))
    return [
        Column(title=_metric_title(metric), cells=tuple(_gate(row, metric) for row in rows))
        for metric in metrics
    ]


def _metric_title(metric: str) -> str:
    return "SNR\ndB" if _is_snr(metric) else metric


def _is_snr(metric: str) -> bool:
    return metric.lower().startswith("snr")


def _gate(row: Result, metric: str) -> str:
    if row.accuracy is None or row.accuracy["metric"] != metric:
        return NOT_AVAILABLE
    value = row.accuracy.get("value")
    return format_db(value) if _is_snr(metric) else format_value(value)


def _values(rows: Sequence[Result]) -> list[Column]:
    """What users' own commands reported, nested names joined with dots."""
    flat = [_flattened(row.values or {}) for row in rows]
    names = dict.fromkeys(name for values in flat for name in values)
    return [
        Column(
            title=name,
            cells=tuple(format_value(values.get(name)) for values in flat),
            numeric=all(_is_number(values[name]) for values in flat if name in values),
            optional=True,
        )
        for name in names
    ]


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _plain(value) if isinstance(value, list) else value
    return flat


def _backend(rows: Sequence[Result]) -> list[Column]:
    texts = tuple(_named(row.backend) or NOT_AVAILABLE for row in rows)
    if len(set(texts) - {NOT_AVAILABLE}) <= 1:
        return []
    return [Column(title="backend", cells=texts, numeric=False, optional=True)]


def _shared(rows: Sequence[Result], fixed: Mapping[str, str]) -> str:
    """What all rows have in common, most telling first."""
    common = [
        _only(_named(row.workload) for row in rows),
        _only(_named(row.backend) for row in rows),
        _only(row.dtype for row in rows),
        _only(str(row.device.get("name") or "") for row in rows),
        ", ".join(f"{name} {text}" for name, text in fixed.items()),
    ]
    return " · ".join(text for text in common if text)


def _only(texts: Any) -> str:
    """The one text there is, those left empty aside; nothing where there are several."""
    found = set(texts) - {""}
    return found.pop() if len(found) == 1 else ""


def _notes(rows: Sequence[Result]) -> list[str]:
    notes = [
        f"cell {row.cell}: {row.status}: {row.reason or 'no reason was given'}"
        for row in rows
        if row.status != "ok"
    ]
    notes += [
        f"cell {row.cell}: {row.stream['misses']} of {(row.latency_ns or {}).get('n')} too late"
        for row in rows
        if row.stream is not None and row.stream.get("misses")
    ]
    few = [
        str(row.cell)
        for row in rows
        if row.latency_ns is not None
        and any(row.latency_ns.get(name) is None for name in ("p50", "p99"))
    ]
    if few:
        notes.append(f"n/a in cell {', '.join(few)}: too few samples for that percentile")
    return notes


def _cells(rows: Sequence[Result], block: str, name: str, show: Any) -> tuple[str, ...]:
    blocks: list[Mapping[str, Any]] = [getattr(row, block) or {} for row in rows]
    return tuple(show(figures.get(name)) for figures in blocks)


def _named(block: Mapping[str, Any]) -> str:
    return " ".join(str(block[key]) for key in ("name", "version") if block.get(key))


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else format_value(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
