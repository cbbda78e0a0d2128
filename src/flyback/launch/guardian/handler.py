"""The function's entry: one event in, what was done out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.events import read
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard, from_environment
from flyback.launch.guardian.sweep import Done, sweep, tend_each
from flyback.launch.lease import held, held_runs

__all__ = ["handle", "serve"]


def handle(event: Mapping[str, Any], context: object = None) -> dict[str, list[str]]:
    """What Lambda calls.

    Raises:
        FlybackError: something could not be done; Lambda calls again, and so does the next sweep.
        ValueError: the event is none that the guardian knows.
    """
    del context
    done = serve(from_environment(os.environ), event)
    return {subject: list(words) for subject, words in done.items()}


def serve(guard: Guard, event: Mapping[str, Any]) -> Done:
    """Do what an event asks for."""
    wake = read(event)
    if wake.kind == "sweep":
        return sweep(guard)
    if wake.kind == "run":
        return tend_each(guard, (wake.subject,))
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
    launch = held(guard.store, run_id)
    return launch is not None and instance_id in {item.instance_id for item in launch.attempts}
