"""Ending machines, and seeing them ended."""

from __future__ import annotations

from flyback.aws.ec2 import GONE, Instance
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard

__all__ = ["CEILING_S", "DEADLINE_TAG", "end", "overdue"]

DEADLINE_TAG = "flyback:deadline"
CEILING_S = 86_400.0  # as user-data arms it before it knows better
_POLL_S = 5.0
_POLITE_S = 60.0  # an operating system that shuts down in order is done long before
_PATIENCE_S = 180.0


def end(guard: Guard, instance_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Terminate machines and wait for it; those that are not terminated after three minutes.

    A system that has not gone after a minute is taken to hang, and is not waited for any more.
    """
    ec2, clock = guard.session.ec2, guard.clock
    began = clock.now()
    ec2.terminate(instance_ids)
    left, pressed = _living(guard, instance_ids), False
    while left and clock.now() - began < _PATIENCE_S:
        if not pressed and clock.now() - began >= _POLITE_S:
            ec2.terminate(left, at_once=True)
            pressed = True
        clock.sleep(_POLL_S)
        left = _living(guard, left)
    return left


def overdue(guard: Guard, now: float) -> tuple[Instance, ...]:
    """Living machines of this deployment that are past the deadline on their own tag.

    A tag that says nothing sensible counts as a day after the launch, as the machine's own timer
    does.
    """
    return tuple(
        machine
        for machine in guard.session.ec2.instances(RUN_TAG)
        if machine.state not in GONE
        and machine.tags.get(NAME_TAG) == guard.name
        and now >= _deadline(machine)
    )


def _deadline(machine: Instance) -> float:
    ceiling = machine.launched_at + CEILING_S
    try:
        return float(int(machine.tags.get(DEADLINE_TAG, "")))
    except ValueError:
        return ceiling


def _living(guard: Guard, instance_ids: tuple[str, ...]) -> tuple[str, ...]:
    found = ((name, guard.session.ec2.instance(name)) for name in instance_ids)
    return tuple(name for name, item in found if item is not None and item.state not in GONE)
