"""What the guardian sees of one run, gathered before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.aws.ec2 import GONE, Instance
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.lease import held
from flyback.launch.records import Records
from flyback.spec.event import Marker
from flyback.spec.launch import Attempt, Launch
from flyback.spec.paths import LeasePaths

__all__ = ["ATTEMPT_TAG", "NAME_TAG", "Beat", "RunFacts", "look"]

NAME_TAG = "flyback:name"
ATTEMPT_TAG = "flyback:attempt"


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The agent's last sign of life: when (seconds since the epoch), and the log's last lines."""

    at: float
    log_tail: str


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """A run as it stands.

    Args:
        launch: None where the run is over and released.
        marker: The run's.
        attempt_marker: Of the last attempt.
        beat: Of the last attempt.
        machines: All that EC2 still describes, by tag and by what was written down.
        ours: Whether the last attempt's request was stored by the guardian.
        now: Seconds since the epoch.
    """

    run_id: str
    launch: Launch | None
    marker: Marker | None
    attempt_marker: Marker | None
    beat: Beat | None
    machines: tuple[Instance, ...]
    ours: bool
    now: float

    @property
    def living(self) -> tuple[Instance, ...]:
        """Machines that are not terminated."""
        return tuple(item for item in self.machines if item.state not in GONE)

    @property
    def attempt(self) -> Attempt | None:
        """The current try."""
        return self.launch.attempts[-1] if self.launch and self.launch.attempts else None

    def machine(self) -> Instance | None:
        """The current attempt's machine, a living one first."""
        attempt = self.attempt
        if attempt is None:
            return None
        found = [
            item
            for item in self.machines
            if item.instance_id == attempt.instance_id
            or item.tags.get(ATTEMPT_TAG) == str(attempt.number)
        ]
        found.sort(key=lambda item: (item.state in GONE, item.launched_at, item.instance_id))
        return found[0] if found else None


def look(guard: Guard, run_id: str) -> RunFacts:
    """Gather what there is; nothing is changed.

    Raises:
        RefusedError: the account does not answer.
    """
    records = guard.records(run_id)
    launch = held(guard.store, run_id)
    number = launch.attempts[-1].number if launch is not None and launch.attempts else 0
    keys = records.paths.attempt(number)
    return RunFacts(
        run_id=run_id,
        launch=launch,
        marker=records.marker(),
        attempt_marker=records.read(Marker, keys.marker) if number else None,
        beat=_beat(records, number) if number else None,
        machines=_machines(guard, run_id, launch),
        ours=bool(number) and records.read(Attempt, LeasePaths(run_id).request(number)) is not None,
        now=guard.clock.now(),
    )


def _machines(guard: Guard, run_id: str, launch: Launch | None) -> tuple[Instance, ...]:
    found = {item.instance_id: item for item in guard.session.ec2.instances(RUN_TAG, run_id)}
    for attempt in launch.attempts if launch is not None else ():
        name = attempt.instance_id
        # another region's machines are its own guardian's
        if name and name not in found and attempt.region in ("", guard.session.region):
            machine = guard.session.ec2.instance(name)  # tags fade once it is terminated
            if machine is not None:
                found[name] = machine
    # whatever a run id was written on, only this deployment's machines are ours
    ours = [item for item in found.values() if item.tags.get(NAME_TAG, guard.name) == guard.name]
    return tuple(sorted(ours, key=lambda item: item.instance_id))


def _beat(records: Records, number: int) -> Beat | None:
    found = records.beat(number)
    return Beat(at=found["at"], log_tail=str(found.get("log_tail", ""))) if found else None
