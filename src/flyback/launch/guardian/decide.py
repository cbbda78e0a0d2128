"""What is to be done about one run: pure, from its facts alone.

The order of the rules is their weight. The deadline comes first; then a run that is over; then a
machine that fell silent; then one that is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flyback.aws.ec2 import Instance
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import RunFacts
from flyback.spec.event import Marker, MarkerKind
from flyback.spec.job import SpotPolicy
from flyback.spec.launch import Attempt, Launch

__all__ = ["End", "Mark", "Relaunch", "Release", "Step", "Verdict", "decide", "next_market"]

TAKEN = "Server.SpotInstanceTermination"
_BY_HAND = "Client.UserInitiatedShutdown"
_FRESH_S = 600.0  # EC2 may not describe a fresh machine for a while
_BOOT_S = 1200.0  # from launch to the first beat, at most
_SILENT_S = 600.0  # twenty beats
_ASKED_S = 900.0  # whoever asked has the answer, or never will
_LINGER_S = 600.0  # from the last word to the end of the machine: uploads, or a reclaim
_SKEW_S = 30.0  # between the clocks of machine, function and EC2, which tells whole seconds
_WORTH_S = 600.0  # less than this before the deadline, a machine would only boot


@dataclass(frozen=True, kw_only=True)
class End:
    """Terminate these machines."""

    machines: tuple[str, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How an attempt, or a run, ended, where the agent could not say it."""

    kind: MarkerKind
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Write the attempt's marker where there is none, and the run's where `final`."""

    verdict: Verdict
    final: bool


@dataclass(frozen=True, kw_only=True)
class Relaunch:
    """Ask for another machine; or, `again`, see to the answer of what was asked already."""

    number: int
    market: str
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Release:
    """The run is over and nothing is left: forget its schedules and its note."""


Step = End | Mark | Relaunch | Release


def decide(facts: RunFacts) -> tuple[Step, ...]:
    """The steps to take now, in order; none where all is well."""
    launch = facts.launch
    if launch is None:
        return ()
    if facts.now >= launch.deadline:
        return _past_deadline(facts)
    if facts.marker is not None:
        return _over(facts, facts.marker)
    if not launch.attempts:  # whoever launches it has not asked yet
        return ()
    return _going_on(facts, launch)


def _going_on(facts: RunFacts, launch: Launch) -> tuple[Step, ...]:
    left = facts.attempt_marker
    if left is not None and left.kind != "INTERRUPTED" and left.reason != "lost":
        # the agent ended between the attempt's marker and the run's
        return (Mark(verdict=_verdict_of(left), final=True),)
    machine = facts.machine()
    if machine is not None and machine in facts.living:
        return _alive(facts, machine)
    return _gone(facts, launch, launch.attempts[-1], machine)


def next_market(policy: SpotPolicy, attempts: Sequence[Attempt], region: str) -> str | None:
    """The market of the next try; None where the job's policy allows none.

    Every try in the region counts, whatever became of it.
    """
    made = [item for item in attempts if item.region in ("", region)]
    if not made or made[0].market == "on-demand":
        return None
    markets = ["spot"] * policy.attempts
    if policy.then == "on-demand":
        markets.append("on-demand")
    return markets[len(made)] if len(made) < len(markets) else None


def _past_deadline(facts: RunFacts) -> tuple[Step, ...]:
    steps: list[Step] = []
    if facts.marker is None and facts.attempt is not None:
        steps.append(Mark(verdict=_last_words(facts), final=True))
    living = _tagged(facts)
    if living:
        return (End(machines=living, why="the deadline has passed"), *steps)
    return (*steps, Release())


def _last_words(facts: RunFacts) -> Verdict:
    left, machine = facts.attempt_marker, facts.machine()
    if left is not None:
        return _verdict_of(left)
    deadline = facts.launch.deadline if facts.launch is not None else facts.now
    beaten = facts.beat is not None and facts.beat.at > deadline - _SILENT_S
    if (machine is None or machine not in facts.living) and not beaten:
        why = f" ({machine.reason})" if machine is not None and machine.reason else ""
        text = f"the machine ended without a word{why}; the deadline has passed"
        if facts.attempt is not None and facts.attempt.instance_id is None and machine is None:
            text = "there never was a machine; the deadline has passed"
        return Verdict(kind="FAILURE", reason="lost", text=_with_beat(facts, text))
    return Verdict(
        kind="FAILURE", reason="deadline", text=_with_beat(facts, "the deadline has passed")
    )


def _over(facts: RunFacts, marker: Marker) -> tuple[Step, ...]:
    living = _tagged(facts)
    if not living:
        return (Release(),)
    if facts.now - marker.at > _LINGER_S:
        return (End(machines=living, why="the run is over and its machine goes on"),)
    return ()


def _alive(facts: RunFacts, machine: Instance) -> tuple[Step, ...]:
    if machine.state == "stopped":
        return _stopped(facts, machine)
    left = facts.attempt_marker
    if left is not None:  # interrupted, and waiting for EC2; or lost, and being ended
        lingers = left.reason == "lost" or facts.now - left.at > _LINGER_S
        words = f"the attempt ended ({left.reason}) and its machine goes on"
        return (End(machines=(machine.instance_id,), why=words),) if lingers else ()
    if machine.state not in ("pending", "running"):
        return ()
    attempt = facts.attempt
    if attempt is not None and attempt.instance_id is None:
        asked = attempt.asked_at or machine.launched_at
        if facts.ours or facts.now - asked > _ASKED_S:
            return (Relaunch(number=attempt.number, market=attempt.market, again=True),)
    patience = _SILENT_S if facts.beat is not None else _BOOT_S
    heard = max(facts.beat.at if facts.beat is not None else 0.0, machine.launched_at)
    silent = facts.now - heard
    if silent <= patience:
        return ()
    text = f"no sign of life for {silent:.0f} s"
    verdict = Verdict(kind="FAILURE", reason="lost", text=_with_beat(facts, text))
    return (Mark(verdict=verdict, final=False), End(machines=(machine.instance_id,), why=text))


def _stopped(facts: RunFacts, machine: Instance) -> tuple[Step, ...]:
    """A machine of ours that shuts down is terminated: this one was stopped, and its disk bills.

    Spot machines of ours can't be stopped, and on demand is the last try: the run is over.
    """
    words = f"the machine was stopped ({machine.reason or 'no reason'}), which bills its disk"
    left = facts.attempt_marker
    verdict = Verdict(kind="FAILURE", reason="lost", text=_with_beat(facts, words))
    verdict = _verdict_of(left) if left is not None else verdict
    return (End(machines=(machine.instance_id,), why=words), Mark(verdict=verdict, final=True))


def _gone(
    facts: RunFacts, launch: Launch, attempt: Attempt, machine: Instance | None
) -> tuple[Step, ...]:
    if machine is None and attempt.instance_id is None:
        return _never_there(facts, launch, attempt)
    if machine is None and facts.now - (attempt.launched_at or launch.created_at) < _FRESH_S:
        return ()
    left, reason = facts.attempt_marker, machine.reason if machine is not None else ""
    if left is not None:
        verdict = _verdict_of(left)
    elif reason == TAKEN:
        text = _with_beat(facts, "EC2 took the machine back before it could say so")
        verdict = Verdict(kind="INTERRUPTED", reason="interrupted", text=text)
    else:
        text = _with_beat(facts, f"the machine ended without a word ({reason or 'no reason'})")
        verdict = Verdict(kind="FAILURE", reason="lost", text=text)
    if reason == _BY_HAND and not _by_us(facts, machine):
        return (Mark(verdict=verdict, final=True),)  # somebody ended it, and meant it
    return _again(facts, launch, verdict)


def _by_us(facts: RunFacts, machine: Instance | None) -> bool:
    """Whether the guardian ended the current machine itself, as silent or as lingering.

    EC2 tells both apart from an end by hand in nothing: a machine that lingered so long is ended.
    """
    left = facts.attempt_marker
    if left is None:
        return False
    ended = machine.ended_at if machine is not None else None
    lingered = (facts.now if ended is None else ended) - left.at
    return left.reason == "lost" or lingered > _LINGER_S - _SKEW_S


def _never_there(facts: RunFacts, launch: Launch, attempt: Attempt) -> tuple[Step, ...]:
    """A request without a machine; one of the client's is its own to repeat."""
    if not facts.ours:
        return ()
    if not attempt.is_answered:
        return (Relaunch(number=attempt.number, market=attempt.market, again=True),)
    said = "; ".join(f"{item.code}: {item.message}" for item in attempt.refusals)
    text = f"no machine to go on with: {said}"
    return _again(facts, launch, Verdict(kind="INTERRUPTED", reason="interrupted", text=text))


def _again(facts: RunFacts, launch: Launch, verdict: Verdict) -> tuple[Step, ...]:
    """Another machine, once nothing of the run is alive; or the end, where none may be had."""
    market = next_market(launch.job.spot, launch.attempts, launch.region)
    if facts.living:
        return ()
    if market is None or launch.deadline - facts.now < _WORTH_S:
        return (Mark(verdict=verdict, final=True),)
    number = launch.attempts[-1].number + 1
    return (Mark(verdict=verdict, final=False), Relaunch(number=number, market=market))


def _tagged(facts: RunFacts) -> tuple[str, ...]:
    """Living machines that carry the run's tag: no other is ever ended."""
    return tuple(
        item.instance_id for item in facts.living if item.tags.get(RUN_TAG) == facts.run_id
    )


def _verdict_of(marker: Marker) -> Verdict:
    return Verdict(kind=marker.kind, reason=marker.reason, text=marker.log_tail)


def _with_beat(facts: RunFacts, text: str) -> str:
    """A sentence of ours under the last lines that the agent sent."""
    said = facts.beat.log_tail if facts.beat is not None else ""
    return f"{said}\nflyback: {text}" if said else f"flyback: {text}"
