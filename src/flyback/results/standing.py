"""How a run stands and what `doctor` found, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from flyback.results.figures import NOT_AVAILABLE, format_duration, format_usd

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = [
    "FindingLine",
    "StatusLine",
    "UseLine",
    "findings_view",
    "footprint_view",
    "status_view",
]

_HOUR_S = 3600.0
_STYLES = {"pass": "green", "fail": "red", "could not check": "yellow"}
_HEALTH = {"healthy": "green", "booting": "cyan", "ended": "", "late": "yellow", "silent": "red"}


class FindingLine(Protocol):
    """What is shown of one finding."""

    @property
    def topic(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def remedy(self) -> str: ...


class StatusLine(Protocol):
    """What is shown of one run; times in seconds."""

    @property
    def run_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def health(self) -> str: ...
    @property
    def machine(self) -> str: ...
    @property
    def beat_age_s(self) -> float | None: ...
    @property
    def elapsed_s(self) -> float: ...
    @property
    def left_s(self) -> float | None: ...
    @property
    def usd(self) -> float | None: ...
    @property
    def objects(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...


class UseLine(Protocol):
    """What is shown of one principal's permissions."""

    @property
    def principal(self) -> str: ...
    @property
    def needed(self) -> Sequence[object]: ...
    @property
    def used(self) -> Sequence[str]: ...
    @property
    def implicit(self) -> Sequence[str]: ...
    @property
    def unused(self) -> Sequence[str]: ...
    @property
    def findings(self) -> Sequence[str]: ...


def footprint_view(principals: Sequence[UseLine]) -> RenderableType:
    """A block for each principal: counts, then what is not used, then what is wrong."""
    from rich.text import Text

    table = _grid()
    for item in principals:
        table.add_row(Text(item.principal, style="bold"), "")
        table.add_row("  asked for", f"{len(item.needed)} permissions")
        if item.used or item.implicit or item.unused:
            table.add_row("  granted and used", str(len(item.used)))
        for title, texts, style in (
            ("other programs'", item.implicit, ""),
            ("not used here", item.unused, "yellow"),
            ("finding", item.findings, "red"),
        ):
            for text in texts:
                table.add_row(f"  {title}", Text(text, style=style))
    return table


def findings_view(findings: Sequence[FindingLine]) -> RenderableType:
    """One line per finding; a failure's remedy below its detail."""
    from rich.text import Text

    table = _grid()
    for item in findings:
        detail = f"{item.detail}\n→ {item.remedy}" if item.remedy else item.detail
        table.add_row(Text(item.outcome, style=_STYLES[item.outcome]), item.topic, Text(detail))
    return table


def status_view(status: StatusLine) -> RenderableType:
    """One fact per line."""
    from rich.text import Text

    table = _grid()
    state = f"{status.state}, {status.phase}" if status.phase else status.state
    beat = NOT_AVAILABLE if status.beat_age_s is None else f"{status.beat_age_s:.0f} s ago"
    left = "" if status.left_s is None else f", {_time(status.left_s)} to the deadline"
    spent = NOT_AVAILABLE if status.usd is None else format_usd(status.usd)
    stored = f"{status.objects} objects, {status.stored_bytes / 1e6:.2f} MB"
    for title, text in (
        ("run", status.run_id),
        ("state", state),
        ("health", f"{status.health}; last sign of life {beat}"),
        ("machine", status.machine or NOT_AVAILABLE),
        ("elapsed", f"{_time(status.elapsed_s)}{left}"),
        ("spend so far", f"{spent} (machine hours at the plan's price until there is a receipt)"),
        ("storage", stored),
    ):
        style = _HEALTH[status.health] if title == "health" else ""
        table.add_row(title, Text(text, style=style))
    return table


def _time(seconds: float) -> str:
    return format_duration(seconds / _HOUR_S)


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    return table
