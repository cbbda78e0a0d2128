"""The schedules that end a run from outside, whoever is still there at its deadline.

One is made before there is a machine and wakes the guardian, which finds machines by their tags.
Another is made for each machine as soon as its id is known and terminates it without anybody's
help. Each removes itself when it has fired; who sees the run over removes them earlier.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Iterable

from flyback.aws.scheduler import Moment
from flyback.aws.session import Session
from flyback.errors import ConflictError, NotFoundError
from flyback.spec.codec import dumps, loads
from flyback.spec.launch import Attempt, Launch, Place
from flyback.spec.paths import LEASES, LeasePaths
from flyback.store.protocol import Store

__all__ = [
    "arm_guardian",
    "arm_machine",
    "attempted",
    "held",
    "held_runs",
    "hold",
    "is_of",
    "move",
    "names",
    "release",
    "stem",
    "with_attempt",
]

_END = "scheduler:::aws-sdk:ec2:terminateInstances"
_STEM = 50  # a schedule's name, or a client token, takes 64 characters
_HASH = 12


def hold(store: Store, run_id: str, change: Callable[[Launch | None], Launch]) -> Launch:
    """Change what the guardian looks after, and nothing that somebody else has changed meanwhile.

    Nobody writes it in any other way. It is written only over what was read (compare-and-swap);
    where that is there no longer, the change is made anew, to what is there by then.

    Args:
        store: The deployment's.
        run_id: The run.
        change: From what is held, None where nothing is, to what shall be. It may be called again,
            also where its first result stands already: the answer to that may be lost.

    Returns:
        What is held now.
    """
    key = LeasePaths(run_id).launch
    while True:
        launch, tag = _tagged(store, key)
        wanted = change(launch)
        if wanted == launch:
            return wanted
        with contextlib.suppress(ConflictError, NotFoundError):
            store.put(key, (dumps(wanted) + "\n").encode(), if_absent=tag is None, if_tag=tag)
            return wanted


def held(store: Store, run_id: str) -> Launch | None:
    """A run that the guardian looks after; None where it is over."""
    try:
        return loads(Launch, store.get(LeasePaths(run_id).launch))
    except NotFoundError:
        return None


def attempted(store: Store, launch: Launch) -> Launch:
    """Hold the last attempt of a launch as it stands here; the rest as it stands there.

    Where nothing is held, all of it: a run that was released goes on.
    """
    ours = launch.attempts[-1]

    def change(there: Launch | None) -> Launch:
        if there is None or not there.attempts:
            return launch
        if any(item.number == ours.number and item.instance_id for item in there.attempts):
            return there
        return with_attempt(there, ours)

    return hold(store, launch.run_id, change)


def with_attempt(launch: Launch, attempt: Attempt) -> Launch:
    """The launch with an attempt in place of the one of its number, or as a further one."""
    others = [item for item in launch.attempts if item.number != attempt.number]
    ordered = sorted((*others, attempt), key=lambda item: item.number)
    return dataclasses.replace(launch, attempts=tuple(ordered))


def held_runs(store: Store) -> tuple[str, ...]:
    """All runs that the guardian looks after."""
    parts = (item.key.split("/") for item in store.list(f"{LEASES}/"))
    return tuple(run_id for _, run_id, name in parts if name == "launch.json")


def names(run_id: str, attempts: int) -> tuple[str, ...]:
    """Names of a run's schedules: the guardian's, then one per attempt."""
    numbers = range(1, attempts + 1)
    return (_guardian_name(run_id), *(_machine_name(run_id, number) for number in numbers))


def arm_guardian(session: Session, place: Place, run_id: str, deadline: float) -> None:
    """Let the guardian look after a run at its deadline; before there is any machine."""
    wanted = Moment(
        name=_guardian_name(run_id),
        group=place.group,
        at=math.ceil(deadline),
        target=place.guardian,
        role=place.invoke_role,
        payload={"flyback": "deadline", "run_id": run_id},
    )
    session.schedules.put(wanted, run_id)


def arm_machine(
    session: Session, place: Place, machine: tuple[str, int, str], deadline: float
) -> None:
    """Let Scheduler itself terminate a machine at the deadline.

    Args:
        session: The account.
        place: Where schedules are.
        machine: Run id, number of the attempt, instance id.
        deadline: Seconds since the epoch.
    """
    run_id, number, instance_id = machine
    wanted = Moment(
        name=_machine_name(run_id, number),
        group=place.group,
        at=math.ceil(deadline),
        target=f"arn:{place.terminate_role.split(':')[1]}:{_END}",  # of the role's partition
        role=place.terminate_role,
        payload={"InstanceIds": [instance_id]},
    )
    session.schedules.put(wanted, run_id)


def move(session: Session, group: str, wanted: Iterable[str], deadline: float) -> tuple[str, ...]:
    """Move schedules to another deadline; the names of those that are there."""
    moved = []
    for name in wanted:
        found = session.schedules.get(group, name)
        if found is not None and session.schedules.update(
            dataclasses.replace(found, at=math.ceil(deadline))
        ):
            moved.append(name)
    return tuple(moved)


def release(session: Session, store: Store, group: str, run_id: str, attempts: int) -> None:
    """Remove a run's schedules, then what the guardian keeps of it: it is over.

    Args:
        session: The account.
        store: The deployment's.
        group: Where its schedules are.
        run_id: The run.
        attempts: How many it had, as far as is known here; the guardian may have made another.
    """
    with contextlib.suppress(ValueError):  # what can't be read is removed all the same
        there = held(store, run_id)
        attempts = max(attempts, len(there.attempts) if there is not None else 0)
    for name in names(run_id, attempts):
        session.schedules.delete(group, name)
    kept = [item.key for item in store.list(f"{LeasePaths(run_id).prefix}/")]
    # the launch goes last: as long as it is there the next sweep releases again
    for key in sorted(kept, key=lambda key: key.endswith("/launch.json")):
        store.delete(key)


def stem(run_id: str) -> str:
    """What a run's schedules and client tokens begin with; another run's may begin with it too.

    A run id may be longer than they: then a hash of all of it stands in for its end.
    """
    if len(run_id) <= _STEM:
        return run_id
    return f"{run_id[: _STEM - _HASH - 1]}-{hashlib.sha256(run_id.encode()).hexdigest()[:_HASH]}"


def is_of(name: str, run_id: str) -> bool:
    """Whether a schedule is a run's."""
    return re.fullmatch(rf"{re.escape(stem(run_id))}-(deadline|machine-\d+)", name) is not None


def _tagged(store: Store, key: str) -> tuple[Launch | None, str | None]:
    """What is held, and the tag to write over it; an older one than its own at the worst."""
    try:
        tag = store.stat(key).tag
        return loads(Launch, store.get(key)), tag
    except NotFoundError:
        return None, None


def _guardian_name(run_id: str) -> str:
    return f"{stem(run_id)}-deadline"


def _machine_name(run_id: str, number: int) -> str:
    return f"{stem(run_id)}-machine-{number}"
