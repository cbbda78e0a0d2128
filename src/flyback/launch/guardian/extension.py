"""A move of the deadline that was cut off: completed or undone, so that all agree again.

launch.json is the truth. `flyback extend` writes it last: what was moved before a cut is moved back
to what launch.json says, and what it says after a cut is where everything stands already.
"""

from __future__ import annotations

import json

from flyback.aws.ec2 import GONE
from flyback.errors import NotFoundError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.reap import DEADLINE_TAG
from flyback.launch.lease import move, names

__all__ = ["settle"]

_CUT_S = 300.0  # whoever moves a deadline is done long before


def settle(guard: Guard, run_id: str) -> None:
    """Where a move has begun and not ended for five minutes, let all say what launch.json says."""
    records = guard.records(run_id)
    key = records.paths.extension
    try:
        begun = json.loads(guard.store.get(key))
    except NotFoundError:
        return
    launch = records.launch()
    if launch is None or guard.clock.now() - float(begun["at"]) < _CUT_S:
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
