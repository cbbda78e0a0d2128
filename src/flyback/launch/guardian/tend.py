"""Looking after one run: look, decide, act. Safe to repeat at any point."""

from __future__ import annotations

from flyback.launch.guardian.decide import End, Mark, Relaunch, Release, Step, decide
from flyback.launch.guardian.extension import settle
from flyback.launch.guardian.facts import RunFacts, look
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.marker import mark
from flyback.launch.guardian.notify import tell
from flyback.launch.guardian.reap import end
from flyback.launch.guardian.relaunch import relaunch
from flyback.launch.lease import release

__all__ = ["tend"]

_ROUNDS = 4  # a step may make the next one due: an ended machine, a refused request


def tend(guard: Guard, run_id: str) -> tuple[str, ...]:
    """Do what a run needs now; what was done, as words.

    Raises:
        RefusedError: the account does not answer, or refuses; the next call goes on from there.
    """
    settle(guard, run_id)
    done: list[str] = []
    for _ in range(_ROUNDS):
        facts = look(guard, run_id)
        steps = decide(facts)
        done += [_act(guard, facts, step) for step in steps]
        if not steps or any(isinstance(step, Release) for step in steps):
            break
    return tuple(done)


def _act(guard: Guard, facts: RunFacts, step: Step) -> str:
    run_id, launch = facts.run_id, facts.launch
    assert launch is not None, "nothing is decided without a launch"  # noqa: S101  # ours
    if isinstance(step, End):
        left = end(guard, step.machines)
        words = f"ended {', '.join(step.machines)}: {step.why}"
        if left:
            words += f"; still not terminated: {', '.join(left)}, the next sweep tries again"
        tell(guard, run_id, words)
        return words
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
