"""The end of an attempt: everything home first, then its marker, then the run's."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from flyback.agent.attempt import Attempt, Outcome
from flyback.agent.environment import facts
from flyback.agent.output import tail
from flyback.agent.workbench import Workbench
from flyback.spec.codec import encode
from flyback.spec.event import Marker

__all__ = ["EXIT_CODES", "finish"]

_PUTS_TO_COME = 5  # this event, the last one, the events file and two markers
EXIT_CODES = {"SUCCESS": 0, "FAILURE": 1, "INTERRUPTED": 75}


def finish(bench: Workbench, attempt: Attempt, outcome: Outcome) -> int:
    """Upload what is left, then write the markers; the exit code that belongs to them.

    An INTERRUPTED attempt leaves the run without a marker: whoever relaunches it, or decides not
    to, writes that one.

    Raises:
        FlybackError: the store takes no marker.
    """
    if attempt.checkpoints is not None:  # first of all: two minutes may be all there is
        hurried = bench.supervisor.stop is not None
        attempt.checkpoints.finish(bench.clock.now(), bench.supervisor.tick, hurried=hurried)
    if attempt.shipping is not None:
        attempt.shipping.finish(bench.clock)
    _bring_home(bench, attempt, final=outcome.kind != "INTERRUPTED")
    outcome = _with_uploads(bench, outcome)
    bench.journal.tell(
        "uploaded",
        bytes=bench.uploads.bytes,
        log_bytes=bench.scratch.log.stat().st_size,
        put_requests=bench.store.puts + _PUTS_TO_COME,
        get_requests=bench.store.gets,
    )
    bench.journal.tell("finished", **encode(outcome))
    bench.supervisor.tick()
    bench.uploads.file(bench.keys.events, bench.scratch.events)
    outcome = _with_uploads(bench, outcome)
    _mark(bench, outcome)
    return EXIT_CODES[outcome.kind]


def _bring_home(bench: Workbench, attempt: Attempt, *, final: bool) -> None:
    uploads, keys, scratch = bench.uploads, bench.keys, bench.scratch
    on_ec2 = attempt.launch is not None and attempt.launch.engine == "ec2"
    metadata = bench.services.metadata if on_ec2 else None
    machine = facts(metadata, bench.services.environ, scratch.packages)
    uploads.text(keys.environment, _text(machine))
    if scratch.results.exists():
        uploads.file(keys.results, scratch.results)
        if final:
            uploads.file(bench.run.results, scratch.results)
    uploads.file(keys.log, scratch.log)


def _with_uploads(bench: Workbench, outcome: Outcome) -> Outcome:
    """A result that could not be brought home is none."""
    if not bench.uploads.failed or outcome.kind != "SUCCESS":
        return outcome
    bench.say(f"could not be brought home: {'; '.join(bench.uploads.failed)}")
    return dataclasses.replace(outcome, kind="FAILURE", reason="upload")


def _mark(bench: Workbench, outcome: Outcome) -> None:
    marker = Marker(
        run_id=bench.run.run_id,
        attempt=bench.options.attempt,
        kind=outcome.kind,
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        log_tail=tail(bench.scratch.log),
        at=bench.clock.now(),
    )
    text = _text(marker)
    ours = bench.uploads.once(bench.keys.marker, text)
    if ours and outcome.kind != "INTERRUPTED":
        bench.uploads.once(bench.run.marker, text)


def _text(value: Any) -> str:
    return json.dumps(encode(value), indent=2, allow_nan=False) + "\n"
