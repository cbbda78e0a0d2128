"""A later deadline: every killer moves, or none.

Crash-safe by order. An intention is stored first and the launch that the guardian holds is written
last; between them schedules and tag move. Whoever is cut off in between leaves killers at the old
deadline, of which the earliest ends the run, and the guardian's next sweep undoes what had moved.
Where the guardian has put another machine in the place of the last one meanwhile, that one's move.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json

from flyback.aws.ec2 import GONE
from flyback.aws.session import Session
from flyback.errors import ConflictError, FlybackError, LeftoversError, ServiceError, UserError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.lease import arm_guardian, arm_machine, held, hold, move, names
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.launch import Launch
from flyback.spec.paths import LeasePaths

__all__ = ["DEADLINE_TAG", "confirmed", "extend", "movable"]

DEADLINE_TAG = "flyback:deadline"
_NO_MACHINE = "the run has no machine just now"
_CONFIRM_S = 90.0  # the agent looks every minute
_LOOK_S = 15.0
_LEAST_LEFT_S = 300.0  # the machine reads its tag every minute, and ends its job three before


def movable(run_id: str, records: Records, clock: Clock) -> Launch:
    """The run as it is held, where its deadline can be moved.

    Raises:
        UserError: the run is over, or too near its deadline.
    """
    current = held(records.remote, run_id)
    where = f"run {run_id}"
    if current is None or records.marker() is not None or current.place is None:
        raise _over(run_id)
    if current.deadline - clock.now() < _LEAST_LEFT_S:
        raise UserError(
            f"{max(current.deadline - clock.now(), 0):.0f} s are left, too few for every timer to "
            "take the change in",
            where=where,
            remedy="`flyback run` launches anew; what is in the run's folder stays",
        )
    return current


def extend(
    session: Session, current: Launch, deadline: float, records: Records, clock: Clock
) -> Launch:
    """The launch with its new deadline.

    Args:
        session: The account.
        current: The run, as `movable` gave it.
        deadline: The new one, seconds since the epoch; whole ones.
        records: The run's files.
        clock: Says when the move began.

    Raises:
        UserError: the run is over.
        RefusedError: something could not be moved, or somebody else has moved it; everything stands
            at the old deadline.
        LeftoversError: not even that is certain; the guardian sees to it.
    """
    run_id, wanted = current.run_id, float(int(deadline))
    key = LeasePaths(run_id).extension
    note = {"at": clock.now(), "from": current.deadline, "to": wanted}
    records.remote.put(key, json.dumps(note).encode() + b"\n")

    def change(there: Launch | None) -> Launch:
        if there is None:
            raise _over(run_id)
        if there.deadline not in (current.deadline, wanted):
            raise ConflictError(
                "somebody else has just moved the deadline",
                where=f"run {run_id}",
                remedy="`flyback status` says where it stands",
            )
        moved = dataclasses.replace(there, deadline=wanted)
        _let_all_say(session, moved)
        return moved

    try:
        moved = hold(records.remote, run_id, change)  # its end is the point of no return
    except FlybackError as error:
        there = _held(records, run_id, error)
        if there is None or there.deadline != wanted:
            _undo(session, there, error)
            records.remote.delete(key)
            raise
        moved = there
    # whatever fails now, the guardian puts right: all say the new deadline already
    with contextlib.suppress(FlybackError):
        records.write(records.paths.launch, moved)
        records.remote.delete(key)
    return moved


def confirmed(launch: Launch, records: Records, clock: Clock) -> bool:
    """Whether the machine says, within a minute and a half, that its own timer has moved.

    Args:
        launch: The run, with its new deadline.
        records: The run's files.
        clock: For waiting.
    """
    until = clock.now() + _CONFIRM_S
    while True:
        with contextlib.suppress(FlybackError, ValueError):
            for event in records.events(launch.attempts[-1].number):
                if event.kind == "extended" and event.detail.get("deadline") == launch.deadline:
                    return True
        if clock.now() >= until:
            return False
        clock.sleep(_LOOK_S)


def _held(records: Records, run_id: str, reason: FlybackError) -> Launch | None:
    """The launch as it is held: with the new deadline all the same, where an answer was lost.

    Raises:
        LeftoversError: that can't be asked.
    """
    try:
        return held(records.remote, run_id)
    except FlybackError as error:
        raise LeftoversError(
            f"{reason.what}; and whether the deadline has moved can't be asked: {error.what}",
            where=f"run {run_id}",
            remedy="`flyback status` says where it stands; the guardian makes all say the same "
            "within 20 minutes, and the earliest deadline holds",
        ) from reason


def _over(run_id: str) -> UserError:
    return UserError("the run is over: there is no deadline to move", where=f"run {run_id}")


def _let_all_say(session: Session, launch: Launch) -> None:
    """Both schedules and the machine's tag, by which the machine sets its own timer.

    Raises:
        ServiceError: one of them is not there.
    """
    place, attempt = launch.place, launch.attempts[-1]
    assert place is not None, "checked before"  # noqa: S101  # ours
    guardian, *_, machine = names(launch.run_id, attempt.number)
    found = move(session, place.group, (guardian, machine), launch.deadline)
    if guardian not in found:  # a lost schedule is as good a reason to make it as any
        arm_guardian(session, place, launch.run_id, launch.deadline)
    if attempt.instance_id and machine not in found:
        named = (launch.run_id, attempt.number, attempt.instance_id)
        arm_machine(session, place, named, launch.deadline)
    living = [
        item.instance_id
        for item in session.ec2.instances(RUN_TAG, launch.run_id)
        if item.state not in GONE
    ]
    if not living:
        raise ServiceError(
            f"{_NO_MACHINE}: it may be between two attempts",
            where=f"run {launch.run_id}",
            remedy="try again in a few minutes",
        )
    session.ec2.tag(living, {DEADLINE_TAG: str(int(launch.deadline))})


def _undo(session: Session, launch: Launch | None, reason: FlybackError) -> None:
    """Everything back at the deadline that is held; nothing where the run is over.

    Raises:
        LeftoversError: not even that; the guardian's next sweep does it.
    """
    if launch is None:
        return
    try:
        _let_all_say(session, launch)
    except FlybackError as error:
        if _NO_MACHINE in error.what:
            return  # the schedules are back, and there is no tag to move
        raise LeftoversError(
            f"{reason.what}; and the move could not be undone: {error.what}",
            where=f"run {launch.run_id}",
            remedy="the guardian undoes it within 20 minutes; the earliest deadline holds",
        ) from reason
