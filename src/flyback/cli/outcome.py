"""The end of a run: what is shown, and the exit code that says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyback import api
from flyback.cli.screen import announce, document, show
from flyback.errors import (
    FlybackError,
    InterruptedRunError,
    JobFailedError,
    LeftoversError,
    RegressionError,
)
from flyback.spec.certificate import Certificate
from flyback.spec.codec import encode
from flyback.spec.comparison import Comparison
from flyback.spec.event import Marker
from flyback.spec.job import JobSpec
from flyback.spec.launch import Attempt
from flyback.spec.result import Result

__all__ = [
    "ASK",
    "all_cells",
    "certify",
    "conclude",
    "conclude_rehearsal",
    "refuse_failed",
    "refuse_slower",
    "show_run",
    "summary",
]


ASK = "what `flyback doctor --policy` prints may ask for all; `flyback reap` then asks again"
"""What to do where something could not be asked for."""


def summary(run: api.Run) -> dict[str, Any]:
    """The JSON document of a finished run."""
    marker, certificate, receipt = run.marker(), run.certificate(), run.receipt()
    return {
        "run_id": run.run_id,
        "marker": marker.kind if marker else None,
        "exit_code": marker.exit_code if marker else None,
        "reason": marker.reason if marker else None,
        "attempts": [_attempt(attempt) for attempt in run.launch.attempts],
        "results": [encode(result) for result in run.results()],
        "quote_usd": receipt.quote_usd,
        "receipt_usd": receipt.total_usd,
        "leftovers": [encode(item) for item in certificate.leftovers] if certificate else [],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    """What a reader wants of a try: everything but the request."""
    told: dict[str, Any] = encode(attempt)
    del told["request"], told["token"]
    return told


def all_cells(
    results: tuple[Result, ...], job: JobSpec, marker: Marker | None
) -> tuple[Result, ...]:
    """The results, with a line for each cell of a workload that has none."""
    from flyback.results.table import with_missing

    if job.workload is None:
        return results
    return with_missing(results, list(job.cells()), marker.reason if marker else "running")


def show_run(run: api.Run, *, as_json: bool) -> None:
    """Results, receipt and certificate."""
    from flyback.results.table import results_view
    from flyback.results.views import attempts_view, certificate_view, receipt_view

    if as_json:
        document(summary(run))
        return
    certificate = run.certificate()
    show(results_view(all_cells(run.results(), run.launch.job, run.marker())))
    tries = attempts_view(run.launch.attempts)
    if tries is not None:
        show(tries)
    show(receipt_view(run.receipt()))
    if certificate is not None:
        show(certificate_view(certificate))
    announce(f"files: {run.folder}")


def conclude(marker: Marker, *certificates: Certificate | None) -> None:
    """Return for success; raise for everything else.

    Raises:
        JobFailedError: the job failed.
        InterruptedRunError: the run was interrupted.
        LeftoversError: the job succeeded and something is left.
    """
    if marker.kind == "FAILURE":
        code = "" if marker.exit_code is None else f" with exit code {marker.exit_code}"
        raise JobFailedError(
            f"the job failed{code} ({marker.reason})",
            where=marker.run_id,
            remedy=f"its last lines:\n{marker.log_tail}",
        )
    if marker.kind == "INTERRUPTED":
        raise InterruptedRunError("the run was interrupted", where=marker.run_id)
    certify(*certificates)


def conclude_rehearsal(shown: api.Rehearsal) -> None:
    """As `conclude`; and a rehearsal in which a fault never acted is no success.

    Raises:
        FlybackError: as `conclude`.
        UserError: a fault never acted.
    """
    idle = shown.idle_faults()
    try:
        conclude(shown.marker, shown.run_certificate, shown.certificate)
    except FlybackError:
        if idle is not None:
            announce(str(idle))
        raise
    if idle is not None:
        raise idle


def certify(*certificates: Certificate | None) -> None:
    """Raise where a certificate is not clean; there may be none to ask for.

    Raises:
        LeftoversError: something is left, or may be.
    """
    for certificate in certificates:
        left = certificate.leftovers if certificate is not None else ()
        if certificate is not None and left:
            raise LeftoversError(
                f"{len(left)} left: {', '.join(item.identifier for item in left)}",
                where=f"certificate of {certificate.scope}",
                remedy="; ".join(dict.fromkeys(item.remedy for item in left)),
            )
        if certificate is not None and certificate.unasked:
            raise LeftoversError(
                f"nothing was found, but not all could be asked: {'; '.join(certificate.unasked)}",
                where=f"certificate of {certificate.scope}",
                remedy=ASK,
            )


def refuse_slower(found: Comparison, *, where: str, baseline: str) -> None:
    """Raise where a cell is slower, or could not be compared though it should have been.

    Args:
        found: The cells.
        where: What was held against the baseline.
        baseline: How people call it.

    Raises:
        RegressionError: a cell is slower.
        JobFailedError: none is, and a side of one has no figures, or B lacks it.
    """
    from flyback.results.figures import format_count

    total = format_count(len(found.cells), "cell")
    count = sum(cell.verdict == "slower" for cell in found.cells)
    if count:
        raise RegressionError(
            f"{count} of {total} {'is' if count == 1 else 'are'} slower",
            where=where,
            remedy=f"baseline: {baseline}",
        )
    failed = [cell.reason for cell in found.cells if cell.failed]
    if failed:
        raise JobFailedError(
            f"{len(failed)} of {total} can't be compared", where=where, remedy=failed[0]
        )


def refuse_failed(rows: Sequence[Result], where: str) -> None:
    """Raise where a cell of a benchmark has no figures.

    Raises:
        JobFailedError: so it is; the sentence has the first reason.
    """
    from flyback.results.figures import format_count

    failed = [row for row in rows if row.latency_ns is None]
    if failed:
        raise JobFailedError(
            f"{len(failed)} of {format_count(len(rows), 'cell')} "
            f"{'has' if len(failed) == 1 else 'have'} no figures",
            where=where,
            remedy=f"{failed[0].status}: {failed[0].reason}",
        )
