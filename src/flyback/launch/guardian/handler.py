"""The function's entry: one event in, what was done out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Protocol

from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.events import read
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard, from_environment
from flyback.launch.guardian.notify import note
from flyback.launch.guardian.sweep import Done, at_deadline, sweep, tend_each
from flyback.launch.lease import held, held_runs

__all__ = ["handle", "serve"]


class Context(Protocol):
    """What Lambda says of a call."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends it."""
        ...


def handle(event: Mapping[str, Any], context: Context | None = None) -> dict[str, list[str]]:
    """What Lambda calls.

    Raises:
        FlybackError: something could not be done; Lambda calls again, and so does the next sweep.
        ValueError: the event is none that the guardian knows, or a document can't be read.
    """
    guard = from_environment(os.environ)
    if context is not None:
        left = context.get_remaining_time_in_millis() / 1000
        guard = dataclasses.replace(guard, until=guard.clock.now() + left)
    done = serve(guard, event)
    return {subject: list(words) for subject, words in done.items()}


def serve(guard: Guard, event: Mapping[str, Any]) -> Done:
    """Do what an event asks for."""
    wake = read(event)
    if wake.kind == "sweep":
        return sweep(guard)
    if wake.kind == "run":
        return at_deadline(guard, wake.subject)
    if wake.kind == "machine":
        return tend_each(guard, _runs_of(guard, wake.subject))
    return {}


def _runs_of(guard: Guard, instance_id: str) -> tuple[str, ...]:
    """The run of a machine by its tags; they fade after its end, so by what was written down."""
    machine = guard.session.ec2.instance(instance_id)
    tags = machine.tags if machine is not None else {}
    if tags.get(RUN_TAG):
        return (tags[RUN_TAG],) if tags.get(NAME_TAG) == guard.name else ()
    return tuple(run_id for run_id in held_runs(guard.store) if _has(guard, run_id, instance_id))


def _has(guard: Guard, run_id: str, instance_id: str) -> bool:
    try:
        launch = held(guard.store, run_id)
    except ValueError as error:  # another run's: the sweep says so every time
        note(run_id, str(error))
        return False
    return launch is not None and instance_id in {item.instance_id for item in launch.attempts}
