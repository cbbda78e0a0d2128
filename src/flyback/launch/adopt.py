"""A launch that was cut off between the stored request and its answer: found again, or completed.

The order matters. What the machine wrote and what EC2 tags say is asked first, for a client token
protects a replay only as long as EC2 remembers it (for fleets nobody says how long). Only where no
trace of a machine is found is the stored request sent again, verbatim and with its own token.
"""

from __future__ import annotations

import dataclasses

from flyback.aws.ec2 import GONE, Instance
from flyback.aws.errors import error_for_code
from flyback.aws.session import Session
from flyback.errors import CapacityError, ServiceError, UserError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.lease import arm_guardian, arm_machine, hold, names, stem
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.event import Marker
from flyback.spec.launch import Launch

__all__ = ["adopt", "machines_of"]

_ATTEMPT_TAG = "flyback:attempt"


def adopt(
    session: Session, launch: Launch, records: Records, clock: Clock, report: Report
) -> Launch:
    """The launch with its machine; the same launch where it has one already, or is over.

    Raises:
        UserError: nothing was ever launched, and the deadline has passed.
        RefusedError: EC2 refuses the stored request; nothing was created.
    """
    attempt = launch.attempts[-1]
    if _is_over(launch, records):
        return launch
    _arm(session, launch)
    if attempt.instance_id:
        return launch
    machine = _found(session, launch)
    if machine is None:
        if clock.now() >= launch.deadline:
            raise UserError(
                "the launch was cut off before there was a machine, and its deadline has passed",
                where=launch.run_id,
                remedy="`flyback run` launches it anew; nothing of this run bills",
            )
        report("launch", f"sending the stored request of attempt {attempt.number} again")
        records.write(records.paths.launch, launch)  # the machine reads it: it may be here only
        hold(records.remote, launch)
        machine = _replayed(session, launch)
    else:
        report("launch", f"found {machine.instance_id} by its tags")
    current = dataclasses.replace(
        attempt,
        instance_id=machine.instance_id,
        instance_type=machine.instance_type,
        zone=machine.zone,
        launched_at=machine.launched_at,
    )
    launch = dataclasses.replace(launch, attempts=(*launch.attempts[:-1], current))
    records.write(records.paths.launch, launch)
    hold(records.remote, launch)
    _arm(session, launch)
    where = f"{current.market} {current.instance_type} in {current.zone}"
    report("launch", f"{machine.instance_id}: {where}")
    return launch


def machines_of(session: Session, launch: Launch) -> tuple[str, ...]:
    """Machines of a run that are not gone: by what was written down, and by tag."""
    noted = {attempt.instance_id for attempt in launch.attempts if attempt.instance_id}
    found = session.ec2.instances(RUN_TAG, launch.run_id)
    ended = {item.instance_id for item in found if item.state in GONE}
    return tuple(sorted((noted | {item.instance_id for item in found}) - ended))


def _arm(session: Session, launch: Launch) -> None:
    """The schedules that are not there: whoever launched was cut off before making them."""
    place, attempt = launch.place, launch.attempts[-1]
    if place is None:
        return
    made = session.schedules.names(place.group, stem(launch.run_id))
    guardian, *_, machine = names(launch.run_id, attempt.number)
    if guardian not in made:
        arm_guardian(session, place, launch.run_id, launch.deadline)
    if attempt.instance_id and machine not in made:
        named = (launch.run_id, attempt.number, attempt.instance_id)
        arm_machine(session, place, named, launch.deadline)


def _is_over(launch: Launch, records: Records) -> bool:
    """Whether a machine has had the last word already, though nobody wrote its name down."""
    key = records.paths.attempt(launch.attempts[-1].number).marker
    return records.marker() is not None or records.read(Marker, key) is not None


def _found(session: Session, launch: Launch) -> Instance | None:
    """The attempt's machine by its tags, a living one first; there is never more than one."""
    number = str(launch.attempts[-1].number)
    found = [
        item
        for item in session.ec2.instances(RUN_TAG, launch.run_id)
        if item.tags.get(_ATTEMPT_TAG) == number
    ]
    found.sort(key=lambda item: (item.state in GONE, item.launched_at, item.instance_id))
    return found[0] if found else None


def _replayed(session: Session, launch: Launch) -> Instance:
    attempt, where = launch.attempts[-1], "ec2:CreateFleet"
    try:
        answer = session.ec2.create_fleet(attempt.request, launch.run_id)
    except ServiceError as error:
        if error.code != "IdempotentParameterMismatch":
            raise
        machine = _found(session, launch)  # the token is spent, so a machine may be on its way
        if machine is None:
            raise
        return machine
    if answer.instance_ids:
        machine = session.ec2.instance(answer.instance_ids[0]) or _found(session, launch)
        if machine is not None:
            return machine
    for failed in answer.errors:
        raise error_for_code(failed.code, failed.message, where)
    raise CapacityError(
        "the stored request gave no machine",
        where=where,
        remedy="`flyback run` launches anew; nothing of this run bills",
    )
