"""A launch that was cut off between the stored request and its answer: found again, or completed.

The order matters. What the machine wrote and what EC2 tags say is asked first, for a client token
protects a replay only as long as EC2 remembers it (for fleets nobody says how long). Only where no
trace of a machine is found is the stored request sent again, verbatim and with its own token. Where
that is refused for want of a machine, the tries go on that the job's spot policy has left.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from flyback.aws.ec2 import GONE, FleetAnswer, Instance
from flyback.aws.session import Session
from flyback.errors import RefusedError, ServiceError, UserError
from flyback.launch.deployment import NAME_TAG, find
from flyback.launch.fleet import RUN_TAG, Site
from flyback.launch.lease import arm_guardian, arm_machine, attempted, names, stem, with_attempt
from flyback.launch.preflight import allowed_by_quota, inspect_site
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.launch.tries import (
    PAUSE_S,
    Tries,
    markets_of,
    most_telling,
    moves_on,
    refusals_of,
    unheard,
)
from flyback.spec.clock import Clock
from flyback.spec.event import Marker
from flyback.spec.launch import Attempt, Launch, Refusal
from flyback.spec.plan import Plan

__all__ = ["Cut", "adopt", "located", "machines_of"]

_ATTEMPT_TAG = "flyback:attempt"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A launch that may have been cut off, and all that is needed to complete it.

    Args:
        session: The account, in the launch's region.
        launch: As it was written down last.
        plan: What it was launched by.
        records: The run's files.
        clock: What pauses wait on.
        report: Told each step.
    """

    session: Session
    launch: Launch
    plan: Plan
    records: Records
    clock: Clock
    report: Report


def adopt(cut: Cut) -> Launch:
    """The launch with its machine; the same launch where it has one already, or is over.

    Raises:
        UserError: nothing was ever launched, and the deadline has passed.
        CapacityError: neither the stored request nor the tries after it gave a machine.
        RefusedError: EC2 refuses the stored request; nothing was created.
    """
    session, launch = cut.session, cut.launch
    attempt = launch.attempts[-1]
    if _is_over(launch, cut.records):
        return launch
    found = located(session, launch, cut.report)
    if found is not launch:
        launch = _noted(cut.records, found, found.attempts[-1])
    _arm(cut, launch)
    if launch.attempts[-1].instance_id:
        return launch
    if cut.clock.now() >= launch.deadline:
        raise UserError(
            "the launch was cut off before there was a machine, and its deadline has passed",
            where=launch.run_id,
            remedy="`flyback run` launches it anew; nothing of this run bills",
        )
    cut.report("launch", f"sending the stored request of attempt {attempt.number} again")
    # Also for the machine, which reads it: it may be here only. What EC2 answered before says
    # nothing of this request: until it is answered, nobody knows whether there is a machine.
    unasked = tuple(refusal for refusal in attempt.refusals if not refusal.code)
    asked = dataclasses.replace(attempt, asked_at=cut.clock.now(), refusals=unasked)
    launch = _noted(cut.records, launch, asked)
    cut = dataclasses.replace(cut, launch=launch)
    try:
        answer = _replayed(session, launch)
    except RefusedError as error:
        raise unheard(error, launch.run_id) from error
    machine = answer if isinstance(answer, Instance) else _granted(session, launch, answer)
    if machine is None:
        assert isinstance(answer, FleetAnswer), "it gave no machine"  # noqa: S101  # ours
        return _go_on(cut, most_telling(answer), refusals_of(answer, {}))
    launch = _with_machine(launch, machine, cut.report)
    launch = _noted(cut.records, launch, launch.attempts[-1])
    _arm(cut, launch)
    return launch


def located(session: Session, launch: Launch, report: Report) -> Launch:
    """The launch with the machine of a request whose answer was lost, if its tags show one.

    Nothing is written: who looks is not who launches.
    """
    if launch.attempts[-1].instance_id:
        return launch
    machine = _found(session, launch)
    if machine is None:
        return launch
    report("launch", f"found {machine.instance_id} by its tags")
    return _with_machine(launch, machine, report)


def machines_of(session: Session, launch: Launch) -> tuple[str, ...]:
    """Machines of a run that are not gone: by what was written down, and by tag."""
    noted = {attempt.instance_id for attempt in launch.attempts if attempt.instance_id}
    found = session.ec2.instances(RUN_TAG, launch.run_id)
    ended = {item.instance_id for item in found if item.state in GONE}
    return tuple(sorted((noted | {item.instance_id for item in found}) - ended))


def _arm(cut: Cut, launch: Launch) -> None:
    """The schedules that are not there: whoever launched was cut off before making them."""
    session, place, attempt = cut.session, launch.place, launch.attempts[-1]
    if place is None or cut.clock.now() >= launch.deadline:  # of the past, it never fires and stays
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


def _replayed(session: Session, launch: Launch) -> FleetAnswer | Instance:
    """What EC2 says to the stored request, or the machine that it made of it before."""
    try:
        return session.ec2.create_fleet(launch.attempts[-1].request, launch.run_id)
    except ServiceError as error:
        if error.code != "IdempotentParameterMismatch":
            raise
        machine = _found(session, launch)  # the token is spent, so a machine may be on its way
        if machine is None:
            raise
        return machine


def _granted(session: Session, launch: Launch, answer: FleetAnswer) -> Instance | None:
    if not answer.instance_ids:
        return None
    return session.ec2.instance(answer.instance_ids[0]) or _found(session, launch)


def _with_machine(launch: Launch, machine: Instance, report: Report) -> Launch:
    current = dataclasses.replace(
        launch.attempts[-1],
        instance_id=machine.instance_id,
        instance_type=machine.instance_type,
        zone=machine.zone,
        launched_at=machine.launched_at,
    )
    where = f"{current.market} {current.instance_type} in {current.zone}"
    report("launch", f"{machine.instance_id}: {where}")
    return with_attempt(launch, current)


def _noted(records: Records, launch: Launch, current: Attempt) -> Launch:
    launch = with_attempt(launch, current)
    records.write(records.paths.launch, launch)
    return attempted(records.remote, launch)


def _go_on(cut: Cut, refusal: RefusedError, refusals: tuple[Refusal, ...]) -> Launch:
    """Write down why the stored request gave nothing, and make the tries that are left.

    Raises:
        RefusedError: the refusal, where no further try can mend it or none is left; else the last.
    """
    current = cut.launch.attempts[-1]
    told = (*current.refusals, *(item for item in refusals if item not in current.refusals))
    launch = _noted(cut.records, cut.launch, dataclasses.replace(current, refusals=told))
    cut.report("launch", f"attempt {current.number} ({current.market}): {refusal.what}")
    asked = sum(1 for attempt in launch.attempts if attempt.region == launch.region)
    markets = markets_of(cut.plan)[asked:]
    if not moves_on(refusal) or not markets:
        raise refusal
    site = _site(cut.session, launch)
    allowed = allowed_by_quota(cut.session, cut.plan, markets, cut.report)
    tries = Tries(
        session=cut.session,
        clock=cut.clock,
        report=cut.report,
        records=cut.records,
        site=site,
        allowed=allowed,
    )
    cut.clock.sleep(PAUSE_S)
    return tries.until_granted(launch, [name for name in markets if allowed[name].plan.candidates])


def _site(session: Session, launch: Launch) -> Site:
    """Where the launch's machines may stand now; they boot from the image that was pinned."""
    deployment = find(session, _deployment_name(launch.attempts[-1]))
    site = inspect_site(session, deployment, launch.image_parameter)
    if site.image.image_id == launch.image_id:
        return site
    return dataclasses.replace(site, image=session.ec2.image(launch.image_id))


def _deployment_name(attempt: Attempt) -> str:
    """As the stored request tags its machine."""
    tags = attempt.request["TagSpecifications"][0]["Tags"]
    return next(str(tag["Value"]) for tag in tags if tag["Key"] == NAME_TAG)
