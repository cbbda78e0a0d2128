"""The marker that the agent could not write."""

from __future__ import annotations

from flyback.errors import ConflictError
from flyback.launch.guardian.decide import Mark
from flyback.launch.records import Records
from flyback.spec.codec import dumps
from flyback.spec.event import Marker

__all__ = ["mark"]


def mark(records: Records, step: Mark, number: int, now: float) -> Marker:
    """Write the attempt's marker and, where the step says so, the run's; the one that stands.

    An agent that was quicker has the word: where its marker says that the attempt succeeded or
    failed, the run's says the same.
    """
    marker = Marker(
        run_id=records.paths.run_id,
        attempt=number,
        kind=step.verdict.kind,
        exit_code=None,
        reason=step.verdict.reason,
        log_tail=step.verdict.text,
        at=now,
    )
    stands = _once(records, records.paths.attempt(number).marker, marker)
    if not step.final and stands.kind != "SUCCESS":
        return stands
    if stands.kind == "INTERRUPTED":
        stands = marker if marker.kind == "FAILURE" and marker.reason == "deadline" else stands
    return _once(records, records.paths.marker, stands)


def _once(records: Records, key: str, marker: Marker) -> Marker:
    try:
        records.remote.put(key, (dumps(marker) + "\n").encode(), if_absent=True)
    except ConflictError:
        return records.read(Marker, key) or marker
    return marker
