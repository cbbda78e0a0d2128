"""Looking after one run: look, decide, act. Safe to repeat at any point."""

from __future__ import annotations

import contextlib

from flyback.errors import FlybackError
from flyback.launch.guardian.decide import End, Mark, Relaunch, Release, decide
from flyback.launch.guardian.extension import settle
from flyback.launch.guardian.facts import RunFacts, look
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.marker import mark
from flyback.launch.guardian.notify import tell
from flyback.launch.guardian.reap import Ends
from flyback.launch.guardian.relaunch import UnwantedError, relaunch
from flyback.launch.lease import release

__all__ = ["tend"]

_ROUNDS = 4  # a step may make the next one due: a refused request


def tend(guard: Guard, run_id: str, ends: Ends) -> tuple[str, ...]:
    """Do what a run needs now; what was done, as words.

    What comes after the end of a machine is left until that is over: whoever waits for `ends` then
    tends the run again.

    Raises:
        RefusedError: the account does not answer, or refuses; the next call goes on from there.
        ValueError: one of the run's documents can't be read.
    """
    settle(guard, run_id)
    done: list[str] = []
    for _ in range(_ROUNDS):
        facts = look(guard, run_id)
        steps = decide(facts)
        for step in steps:
            try:
                if not isinstance(step, End):
                    done.append(_act(guard, facts, step))
                elif ends.ask(run_id, step.machines, step.why):
                    return tuple(done)
            except UnwantedError as error:
                ends.ask(run_id, (error.instance_id,), error.what)
                records = guard.records(run_id)
                with contextlib.suppress(FlybackError):  # the receipt's; its schedule stays armed
                    records.write(records.paths.launch, error.launch)
                return tuple(done)
        released = any(isinstance(step, Release) for step in steps)
        if released or all(isinstance(step, End) for step in steps):
            break
    return tuple(done)


def _act(guard: Guard, facts: RunFacts, step: Mark | Relaunch | Release) -> str:
    run_id, launch = facts.run_id, facts.launch
    assert launch is not None, "nothing is decided without a launch"  # noqa: S101  # ours
    if isinstance(step, Mark):
        records = guard.records(run_id)
        stands = mark(records, step, launch.attempts[-1].number, guard.clock.now())
        if step.final:
            tell(guard, run_id, f"{stands.kind} ({stands.reason})")
        return f"marked {stands.kind} ({stands.reason})"
    if isinstance(step, Relaunch):
        attempt = relaunch(guard, launch, step).attempts[-1]
        where = f"{attempt.market} {attempt.instance_type} in {attempt.zone}"
        got = f"{attempt.instance_id}, {where}" if attempt.instance_id else "no machine"
        tell(guard, run_id, f"attempt {attempt.number}: {got}")
        return f"relaunched: {got}"
    release(guard.session, guard.store, guard.place.group, run_id, len(launch.attempts))
    return "released"
