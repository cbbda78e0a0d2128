"""What acts by itself in the account: functions, schedules and events, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flyback.rehearsal.call import Gap
from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.ec2 import Machines
from flyback.rehearsal.events import EventBus, EventsGap, tell_of_machines
from flyback.rehearsal.functions import Invocations, LambdaGap, Registry, Workshop
from flyback.rehearsal.roles import Sessions
from flyback.rehearsal.schedules import SchedulerGap, Schedules, Timetable
from flyback.rehearsal.tagging import TaggingGap, beside_moto
from flyback.rehearsal.transport import Clients

__all__ = ["Automation", "automate"]


@dataclass(frozen=True, kw_only=True)
class Automation:
    """The parts.

    Args:
        registry: Functions, their policies included.
        bus: Events and who is told of them.
        timetable: Schedules and when they fire.
        functions: Invocations, past and to come.
        workshop: What functions run in.
        tagging: What carries which tags, those of moto's included.
        tags: Service → ARN → tags of what moto does not hold.
        gaps: Their APIs.
    """

    registry: Registry
    bus: EventBus
    timetable: Timetable
    functions: Invocations
    workshop: Workshop
    tagging: TaggingGap
    tags: Mapping[str, Callable[[str], Mapping[str, str]]]
    gaps: tuple[Gap, ...]

    def tell_of(self, machines: Machines) -> None:
        """Let what happens to machines be events."""
        tell_of_machines(machines, self.bus)


def automate(
    clients: Clients, clock: VirtualClock, endpoint: str, folder: Path, seed: int
) -> Automation:
    """Build functions, schedules and events over an emulated account.

    Args:
        clients: Its boto3 clients.
        clock: Its time.
        endpoint: Its address.
        folder: Functions run below it.
        seed: Decides where in its minute a schedule fires.
    """
    sessions = Sessions(clients)
    registry, schedules = Registry(), Schedules()
    workshop = Workshop(endpoint, clock, folder / "functions", sessions)
    functions = Invocations(registry, workshop, sessions, clock)
    timetable = Timetable(schedules, sessions, clock, seed)
    bus = EventBus(clients, clock)
    tagging = TaggingGap(clock.now, lambda region: _tagged(region, registry, schedules))
    return Automation(
        registry=registry,
        bus=bus,
        timetable=timetable,
        functions=functions,
        workshop=workshop,
        tagging=tagging,
        tags={"lambda": registry.tags_of, "scheduler": schedules.tags_of},
        gaps=(
            LambdaGap(
                registry,
                functions,
                workshop,
                lambda service, region: clients(service, region, "lambda"),
                clock.now,
            ),
            SchedulerGap(schedules, timetable, clock.now),
            EventsGap(bus),
            tagging,
        ),
    )


def _tagged(
    region: str, registry: Registry, schedules: Schedules
) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    yield from beside_moto(region)
    for function in registry.all(region):
        yield "lambda:function", function.arn, function.tags
    for group in schedules.groups(region):
        yield "scheduler:schedule-group", group.arn, group.tags
