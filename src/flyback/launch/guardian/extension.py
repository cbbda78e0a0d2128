"""A move of the deadline that was cut off: completed or undone, so that all agree again.

The launch that the guardian holds is the truth. `flyback extend` writes it last: what was moved
before a cut is moved back to what it says, and after a cut everything stands there already.
"""

from __future__ import annotations

from flyback.aws.ec2 import GONE
from flyback.errors import NotFoundError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.reap import DEADLINE_TAG
from flyback.launch.lease import held, move, names
from flyback.spec.paths import LeasePaths

__all__ = ["settle"]

_CUT_S = 300.0  # whoever moves a deadline is done long before


def settle(guard: Guard, run_id: str) -> None:
    """Where a move has begun and not ended for five minutes, let all say what the launch says."""
    key = LeasePaths(run_id).extension
    try:
        begun = guard.store.stat(key).modified  # by S3's clock: the note's is somebody's laptop
    except NotFoundError:
        return
    launch = held(guard.store, run_id)
    if launch is None or guard.clock.now() - begun < _CUT_S:
        return
    move(guard.session, guard.place.group, names(run_id, len(launch.attempts)), launch.deadline)
    living = tuple(
        item.instance_id
        for item in guard.session.ec2.instances(RUN_TAG, run_id)
        if item.state not in GONE and item.tags.get(NAME_TAG) == guard.name
    )
    if living:
        guard.session.ec2.tag(living, {DEADLINE_TAG: str(int(launch.deadline))})
    guard.store.delete(key)
