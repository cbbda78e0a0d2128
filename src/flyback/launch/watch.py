"""Wait for a run's end, telling what happens on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from flyback.aws.ec2 import GONE, Instance
from flyback.aws.session import Session
from flyback.launch.adopt import located
from flyback.launch.lease import held
from flyback.launch.local import is_alive
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.launch.teardown import terminate_and_wait
from flyback.spec.clock import Clock
from flyback.spec.event import Event, Marker
from flyback.spec.launch import Attempt, Launch

__all__ = [
    "SILENCE_S",
    "cloud_log",
    "is_gone",
    "local_log",
    "newer",
    "watch_cloud",
    "watch_local",
]

_CLOUD_POLL_S = 5.0
_LOCAL_POLL_S = 0.1
_UNKNOWN_S = 600.0
SILENCE_S = 1200.0
"""Without a word of the guardian, which sweeps every 15 minutes, a machine that is gone is lost."""

_GRACE_S = 600.0  # past the deadline: the machine's own timers go first
_BORING = frozenset({"heartbeat"})


def watch_cloud(
    session: Session, launch: Launch, records: Records, clock: Clock, report: Report
) -> tuple[Launch, Marker]:
    """Wait until the run has its marker and its machine is terminated; with the launch by then.

    The machine of a request whose answer was lost is looked for by its tags.

    Where a machine ended and left the run without a marker, the guardian decides: a further attempt
    is followed like the first. If it says nothing for longer than its sweeps lie apart, the
    attempt's marker becomes the run's; a machine that left none is FAILURE, reason `lost`. One that
    outlives its deadline, against all its timers, is terminated.
    """
    teller = _Teller(records, launch.attempts[-1].number, report)
    state, gone_at = "", None
    while True:
        if not launch.attempts[-1].is_answered:
            launch = located(session, launch, report)
        attempt = launch.attempts[-1]
        instance = session.ec2.instance(attempt.instance_id) if attempt.instance_id else None
        if instance is not None and instance.state != state:
            state = instance.state
            report("run", f"{instance.instance_id} is {state}")
        teller.tell()
        if is_gone(instance, launch, clock, seen=bool(state)):
            known, launch = launch, newer(launch, records)
            if _extent(launch) > _extent(known):
                state, gone_at = "", None
                teller = _Teller(records, launch.attempts[-1].number, report)
                report("run", _continued(launch))
                continue
            marker = records.marker()
            if marker is not None:
                return launch, marker
            gone_at = clock.now() if gone_at is None else gone_at
            if clock.now() - gone_at > SILENCE_S:
                return launch, records.declare(_last_word(launch, records, instance, gone_at))
        if instance is not None and clock.now() > launch.deadline + _GRACE_S:
            launch = newer(launch, records)  # somebody else may have moved it
            if clock.now() > launch.deadline + _GRACE_S:
                report("run", "its deadline has passed and the machine goes on")
                terminate_and_wait(session, (instance.instance_id,), clock, report)
        clock.sleep(_CLOUD_POLL_S)


def newer(launch: Launch, records: Records) -> Launch:
    """The launch with what others have added to it: attempts, where they stand, the deadline.

    What is held says so; after the run's end, what was written for its machine. A deadline moves
    later or not at all. Nothing is written but the copy here.
    """
    found = held(records.remote, launch.run_id) or records.launch()
    if found is None:
        return launch
    ahead = max(launch, found, key=_extent)  # the one that is known, where they say the same
    newest = dataclasses.replace(ahead, deadline=max(launch.deadline, found.deadline))
    return launch if newest == launch else records.remember(newest)


def _extent(launch: Launch) -> tuple[int, bool, int]:
    last = launch.attempts[-1] if launch.attempts else None
    return len(launch.attempts), bool(last and last.instance_id), len(last.refusals) if last else 0


def _continued(launch: Launch) -> str:
    attempt = launch.attempts[-1]
    if attempt.instance_id is None:
        return f"the guardian asks for attempt {attempt.number} ({attempt.market})"
    where = f"{attempt.market} {attempt.instance_type} in {attempt.zone}"
    return f"the guardian goes on with attempt {attempt.number}: {attempt.instance_id}, {where}"


def watch_local(
    home: Path, launch: Launch, records: Records, clock: Clock, report: Report
) -> Marker:
    """Wait until the run has its marker."""
    teller = _Teller(records, 1, report)
    while True:
        alive = is_alive(home, launch.run_id)
        marker = records.marker()
        teller.tell()
        if marker is not None and not alive:
            return marker
        if not alive:
            return records.declare(_last_word(launch, records, None, clock.now()))
        clock.sleep(_LOCAL_POLL_S)


def cloud_log(
    session: Session, launch: Launch, clock: Clock, *, follow: bool, ended: Callable[[], bool]
) -> Iterator[str]:
    """Lines of the run's log stream, as they come where `follow` is set."""
    stream, token = f"ec2-{launch.run_id}", None
    while True:
        last = not follow or ended()
        page = session.logs.page(launch.log_group, stream, token)
        yield from page.lines
        if page.token is not None and page.token != token:
            token = page.token  # a page may be empty and not the last; equal tokens are the end
            continue
        if last:
            return
        clock.sleep(_CLOUD_POLL_S)


def local_log(
    records: Records, clock: Clock, *, follow: bool, ended: Callable[[], bool]
) -> Iterator[str]:
    """Lines of the log in the run folder, as they come where `follow` is set."""
    told = 0
    key = records.paths.attempt(1).log
    while True:
        last = not follow or ended()
        found = [item for item in records.local.list(key) if item.key == key]
        lines = records.local.get(key).decode("utf-8", "replace").splitlines() if found else []
        yield from lines[told:]
        told = max(told, len(lines))
        if last:
            return
        clock.sleep(_LOCAL_POLL_S)


def is_gone(instance: Instance | None, launch: Launch, clock: Clock, *, seen: bool) -> bool:
    """Whether a machine is over.

    EC2 may not know a fresh machine for a while, and forgets an ended one after an hour: one that
    is not described is over if it was seen before, or was asked for over ten minutes ago.
    """
    if instance is not None:
        return instance.state in GONE
    attempt = launch.attempts[-1]
    asked = attempt.launched_at or attempt.asked_at or launch.created_at
    return seen or clock.now() - asked > _UNKNOWN_S


class _Teller:
    """Reports each event of an attempt once."""

    def __init__(self, records: Records, attempt: int, report: Report) -> None:
        self._records = records
        self._attempt = attempt
        self._report = report
        self._told = 0

    def tell(self) -> None:
        events = self._records.events(self._attempt)
        for event in events[self._told :]:
            if event.kind not in _BORING:
                self._report("run", _sentence(event))
        self._told = len(events)


def _sentence(event: Event) -> str:
    detail = ", ".join(f"{key} {value}" for key, value in event.detail.items())
    return f"{event.kind}: {detail}" if detail else event.kind


def _last_word(
    launch: Launch, records: Records, instance: Instance | None, gone_at: float
) -> Marker:
    """An interrupted attempt leaves the run open for another; nobody here makes one.

    The end is when the machine was first seen gone, not when nobody was waited for any longer: the
    receipt counts its hours until then.
    """
    left = records.read(Marker, records.paths.attempt(launch.attempts[-1].number).marker)
    if left is not None:
        return left
    reason, text = _epitaph(launch.attempts[-1], instance)
    return Marker(
        run_id=launch.run_id,
        attempt=launch.attempts[-1].number,
        kind="FAILURE",
        exit_code=None,
        reason=reason,
        log_tail=text,
        at=gone_at,
    )


def _epitaph(attempt: Attempt, instance: Instance | None) -> tuple[str, str]:
    """Why a run failed of which no machine says so: in one word, and as a sentence."""
    if attempt.instance_id is None and attempt.is_answered:
        last = next(each for each in reversed(attempt.refusals) if each.code)
        return last.kind, f"no machine: {last.code}: {last.message}"
    if attempt.instance_id is None and attempt.market != "local":
        return "lost", "EC2's answer to the request was lost, and no machine carries the run's tags"
    why = f" ({instance.reason})" if instance is not None and instance.reason else ""
    return "lost", f"the machine ended without a word{why}"
