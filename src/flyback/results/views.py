"""Plan, receipt, certificate and the list of runs, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flyback.results.figures import (
    NOT_AVAILABLE,
    format_count,
    format_duration,
    format_quantity,
    format_usd,
)
from flyback.spec.certificate import Certificate
from flyback.spec.launch import Attempt, Refusal
from flyback.spec.plan import Candidate, Plan
from flyback.spec.receipt import CostLine, Receipt

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["RunLine", "attempts_view", "certificate_view", "plan_view", "receipt_view", "runs_view"]

_LIST_PRICES = "List prices, before tax, credits and free tiers; each line's source is in "


class RunLine(Protocol):
    """What the list of runs shows of one."""

    @property
    def run_id(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def cloud(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def machine(self) -> str: ...
    @property
    def usd(self) -> float | None: ...


def plan_view(plan: Plan, *, assumption: str = "") -> RenderableType:
    """What will be asked for, by when it ends, and the quote.

    Args:
        plan: The decision.
        assumption: Where the expected duration comes from.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_plan_facts(plan, assumption)]
    if plan.market == "local":
        return Group(*parts)
    parts += [_candidates(plan)]
    parts += [Text(line) for line in _notices(plan)]
    parts += [Text(f"not {lost.instance_type}: {lost.reason}") for lost in plan.rejections]
    parts += [_quote(plan), *_free(plan.quote)]
    parts += [Text(f"Machine prices: {plan.candidates[0].price_source}", style="dim")]
    return Group(*parts, Text(f"{_LIST_PRICES}`flyback plan --json`.", style="dim"))


def receipt_view(receipt: Receipt) -> RenderableType:
    """The receipt beside its quote, item by item."""
    from rich.console import Group
    from rich.text import Text

    if receipt.usage.market == "local":
        return Text(f"Receipt: {format_usd(receipt.total_usd)}; {_used(receipt)}")
    note = ""
    if receipt.rehearsed:
        note = "Rehearsed: nothing was billed; this is what AWS would ask. "
    return Group(
        _receipt_table(receipt),
        *_free(receipt.lines),
        Text(f"{_used(receipt)}. {note}{_LIST_PRICES}receipt.json.", style="dim"),
    )


def certificate_view(certificate: Certificate) -> RenderableType:
    """Every question that was asked, what is left, and what stays by design."""
    from rich.console import Group
    from rich.text import Text

    place = f"account {certificate.account}, {certificate.region}"
    if certificate.clean:
        head = Text(f"Certificate of {certificate.scope}: clean ({place})", style="bold green")
    else:
        count, unasked = len(certificate.leftovers), len(certificate.unasked)
        what = f"{count} left over" if count else "not clean: the sources disagree"
        if unasked:
            found = f"{count} left over" if count else "nothing found"
            what = f"{found}, {format_count(unasked, 'kind')} not asked for"
        style = "bold yellow" if unasked and not count else "bold red"
        head = Text(f"Certificate of {certificate.scope}: {what} ({place})", style=style)
    parts: list[RenderableType] = [head, _checks(certificate)]
    for left in certificate.leftovers:
        parts.append(Text(f"left: {left.service} {left.kind} {left.identifier}", style="red"))
        parts.append(Text(f"  → {left.remedy}"))
    parts += [Text(f"not asked for {text}", style="yellow") for text in certificate.unasked]
    parts += [Text(f"stays: {text}", style="dim") for text in certificate.exceptions]
    return Group(*parts)


def attempts_view(attempts: Sequence[Attempt]) -> RenderableType | None:
    """Every try at a machine and why it failed; None where the first gave one at once."""
    if len(attempts) < 2 and not any(attempt.refusals for attempt in attempts):  # noqa: PLR2004  # one try
        return None
    table = _table(("attempt", "right"), ("market", "left"), ("region", "left"))
    table.add_column("outcome", overflow="fold")
    for attempt in attempts:
        row = (str(attempt.number), attempt.market, attempt.region)
        for told in _outcomes(attempt):
            table.add_row(*row, told)
            row = ("", "", "")
    return table


def _outcomes(attempt: Attempt) -> list[str]:
    """A line for each reason, with the pools that it holds for; the machine last."""
    pools: dict[tuple[str, str], list[str]] = {}
    for refusal in attempt.refusals:
        why = f"{refusal.kind}: {refusal.code or refusal.message}"
        pools.setdefault((refusal.instance_type, why), []).append(_letter(refusal, attempt.region))
    lines = [
        f"{kind} {' '.join(filter(None, zones))} {why}".replace("  ", " ").strip()
        for (kind, why), zones in pools.items()
    ]
    if attempt.instance_id:
        lines.append(f"{attempt.instance_type} in {attempt.zone}: {attempt.instance_id}")
    return lines or ["no answer was written down"]


def _letter(refusal: Refusal, region: str) -> str:
    return refusal.zone.removeprefix(region)


def runs_view(runs: Sequence[RunLine]) -> RenderableType:
    """One line per run."""
    table = _table(("run", "left"), ("state", "left"), ("where", "left"), ("machine", "left"))
    table.add_column("cost", justify="right", no_wrap=True)
    for run in runs:
        where = " ".join(part for part in (run.engine, run.cloud) if part)
        cost = NOT_AVAILABLE if run.usd is None else format_usd(run.usd)
        table.add_row(run.run_id, _state(run.state), where, run.machine, cost)
    return table


def _state(state: str) -> RenderableType:
    from rich.text import Text

    style = {"SUCCESS": "green", "running": "cyan", "INTERRUPTED": "yellow"}.get(state, "red")
    return Text(state, style=style)


def _plan_facts(plan: Plan, assumption: str) -> RenderableType:
    from rich.text import Text

    where = f"{plan.region}, {plan.market}" if plan.region else "this machine"
    why = f" ({assumption})" if assumption else ""
    quote, ceiling = format_usd(plan.quote_usd), format_usd(plan.ceiling_usd)
    until = f"{format_duration(plan.deadline_hours)} ({plan.deadline_reason})"
    lines = (
        (f"Plan of {plan.job.name}: {where}", "bold"),
        (f"expected {format_duration(plan.expected_hours)}{why}: {quote}", ""),
        (f"at most  {until}: {ceiling}", ""),
    )
    text = Text()
    for number, (line, style) in enumerate(lines):
        text.append(("\n" if number else "") + line, style=style)
    return text


def _notices(plan: Plan) -> list[str]:
    """What a checkpoint may weigh, where the market is spot."""
    if plan.market != "spot":
        return []
    from flyback.store.notice import gigabytes_in_notice

    found = {c.instance_type: c.network_gbps for c in plan.candidates if c.network_gbps}
    said = [f"{name} {gigabytes_in_notice(gbps):.1f} GB" for name, gbps in found.items()]
    return (
        [f"at most, within the two minutes of an interruption: {', '.join(said)}"] if said else []
    )


def _candidates(plan: Plan) -> Table:
    table = _table(("type", "left"), ("GPU", "left"), ("vCPU", "right"), ("GiB", "right"))
    table.add_column("zones", overflow="fold")
    table.add_column("spot $/h", justify="right", no_wrap=True)
    table.add_column("on-demand $/h", justify="right", no_wrap=True)
    for candidate in plan.candidates:
        table.add_row(
            candidate.instance_type,
            _gpu(candidate),
            str(candidate.vcpus),
            f"{candidate.memory_gib:g}",
            " ".join(zone.removeprefix(plan.region) for zone in candidate.zones),
            _rate(candidate.spot_usd_hour),
            _rate(candidate.on_demand_usd_hour),
        )
    return table


def _gpu(candidate: Candidate) -> str:
    return f"{candidate.gpu_count} x {candidate.gpu}" if candidate.gpu else "none"


def _rate(usd_hour: float | None) -> str:
    return NOT_AVAILABLE if usd_hour is None else f"{usd_hour:.4f}"


def _quote(plan: Plan) -> Table:
    table = _table(("quote", "title"), ("quantity", "right"), ("unit", "left"))
    for title in ("price of one", "cost"):
        table.add_column(title, justify="right", no_wrap=True)
    for line in plan.quote:
        quantity, price = format_quantity(line.quantity), format_quantity(line.unit_usd)
        table.add_row(line.item, quantity, line.unit, price, format_usd(line.usd))
    table.add_section()
    table.add_row("total", "", "", "", format_usd(plan.quote_usd), style="bold")
    return table


def _receipt_table(receipt: Receipt) -> Table:
    table = _table(("receipt", "title"), ("quantity", "right"), ("unit", "left"))
    for title in ("cost", "quoted", "difference"):
        table.add_column(title, justify="right", no_wrap=True)
    quoted = {line.item: line.usd for line in receipt.quote}
    for line in receipt.lines:
        table.add_row(
            line.item,
            format_quantity(line.quantity),
            line.unit,
            *_compared(line.usd, quoted.pop(line.item, 0.0)),
        )
    for item, usd in quoted.items():  # quoted and never used
        table.add_row(item, "0", "", *_compared(0.0, usd))
    table.add_section()
    total = _compared(receipt.total_usd, receipt.quote_usd)
    table.add_row("total", "", receipt.currency, *total, style="bold")
    return table


def _compared(usd: float, quoted: float) -> tuple[str, str, str]:
    return format_usd(usd), format_usd(quoted), format_usd(usd - quoted, signed=True)


def _free(lines: Sequence[CostLine]) -> list[RenderableType]:
    """Why a line is for nothing."""
    from rich.text import Text

    return [
        Text(f"{line.item}: {line.source}", style="dim") for line in lines if line.unit_usd == 0
    ]


def _used(receipt: Receipt) -> str:
    usage = receipt.usage
    machine = usage.instance_type or "this machine"
    place = f" in {usage.zone or receipt.region}" if usage.zone or receipt.region else ""
    boot = f", {format_duration(usage.boot_hours)} of it booting" if usage.boot_hours else ""
    again = format_duration(usage.lost_work_s / 3600)
    lost = f"; interruptions cost {again} of its work" if usage.lost_work_s else ""
    return f"{machine}{place} for {format_duration(usage.hours)}{boot}{lost}"


def _checks(certificate: Certificate) -> Table:
    table = _table(("source", "left"), ("service", "left"))
    table.add_column("question", overflow="fold")
    table.add_column("seen", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    for check in certificate.checks:
        style = "red" if check.left else ""
        row: tuple[Any, ...] = (check.source, check.service, check.question)
        table.add_row(*row, str(check.seen), str(len(check.left)), style=style)
    return table


def _table(*columns: tuple[str, str]) -> Table:
    """A table without walls, and its first columns.

    Args:
        columns: Heading, and `left` (wraps), `title` (left, never wraps) or `right` (as that).
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title, kind in columns:
        table.add_column(
            title,
            justify="right" if kind == "right" else "left",
            overflow="fold",
            no_wrap=kind != "left",
        )
    return table
