"""What the guardian does about a run follows from its facts alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.aws.ec2 import Instance
from flyback.launch.guardian.decide import End, Mark, Relaunch, Release, decide, next_market
from flyback.launch.guardian.facts import Beat, RunFacts
from flyback.spec.event import Marker
from flyback.spec.job import JobSpec, SpotPolicy
from flyback.spec.launch import Attempt, Launch, Refusal

START = 1_000_000.0
LAUNCH = Launch(
    run_id="r",
    job=JobSpec(name="j", command=("true",), spot=SpotPolicy(attempts=2, then="on-demand")),
    engine="ec2",
    region="us-east-1",
    store="s3://b",
    log_group="",
    image_id="ami-1",
    image_parameter="",
    bundle_sha256="",
    workdir_sha256=None,
    created_at=START,
    deadline=START + 7200,
)
ATTEMPT = Attempt(
    number=1,
    token="r-1",
    market="spot",
    region="us-east-1",
    asked_at=START,
    launched_at=START + 5,
    instance_id="i-1",
)
MACHINE = Instance(
    instance_id="i-1",
    instance_type="g6.xlarge",
    zone="us-east-1a",
    state="running",
    market="spot",
    launched_at=START + 5,
    ended_at=None,
    reason="",
    tags={"flyback:run-id": "r", "flyback:name": "flyback", "flyback:attempt": "1"},
)


def facts(
    *, now: float = START + 600, attempts: tuple[Attempt, ...] = (ATTEMPT,), **other: Any
) -> RunFacts:
    given = {
        "launch": dataclasses.replace(LAUNCH, attempts=attempts),
        "marker": None,
        "attempt_marker": None,
        "beat": Beat(at=now - 30, log_tail="step 7"),
        "machines": (MACHINE,),
        "ours": False,
        **other,
    }
    return RunFacts(run_id="r", now=now, **given)


def marker(kind: str, reason: str, at: float = START + 500) -> Marker:
    return Marker(
        run_id="r",
        attempt=1,
        kind=kind,  # type: ignore[arg-type]
        exit_code=None,
        reason=reason,
        log_tail="last lines",
        at=at,
    )


def ended(reason: str = "", state: str = "terminated") -> Instance:
    return dataclasses.replace(MACHINE, state=state, reason=reason)


def test_a_healthy_run_is_left_alone() -> None:
    """A machine that beats, with time left, needs nothing."""
    assert decide(facts()) == ()
    assert decide(facts(launch=None)) == ()


@given(
    st.sampled_from(["pending", "running", "stopping", "stopped", "shutting-down"]),
    st.booleans(),
    st.floats(0, 1e6),
)
def test_past_the_deadline_every_machine_is_ended(state: str, marked: bool, late: float) -> None:  # noqa: FBT001  # drawn
    """In whatever state, with or without a marker, and the run has its last word."""
    found = facts(
        now=LAUNCH.deadline + late,
        machines=(ended(state=state),),
        marker=marker("SUCCESS", "ok") if marked else None,
    )
    steps = decide(found)
    assert isinstance(steps[0], End)
    assert steps[0].machines == ("i-1",)
    words = [step.verdict.reason for step in steps if isinstance(step, Mark) and step.final]
    assert words == ([] if marked else ["deadline"])


def test_what_is_not_tagged_is_never_ended() -> None:
    """A machine without the run's tag stays, even where it is written down as the run's."""
    bare = dataclasses.replace(MACHINE, tags={})
    assert not [s for s in decide(facts(now=START + 9e9, machines=(bare,))) if isinstance(s, End)]


def test_a_silent_machine_is_ended_and_replaced() -> None:
    """Ten minutes without a beat: lost, ended, and once it is gone another is asked for."""
    silent = facts(now=START + 3000, beat=Beat(at=START + 2300, log_tail="step 7"))
    first, second = decide(silent)
    assert isinstance(first, Mark)
    assert (first.verdict.reason, first.final) == ("lost", False)
    assert "step 7" in first.verdict.text
    assert isinstance(second, End)
    after = facts(
        now=START + 3100,
        attempt_marker=marker("FAILURE", "lost"),
        machines=(ended("Client.UserInitiatedShutdown"),),
    )
    assert decide(after)[-1] == Relaunch(number=2, market="spot")


def test_a_machine_is_given_time_to_boot() -> None:
    """Before its first beat a machine has twenty minutes."""
    assert decide(facts(now=START + 1000, beat=None)) == ()
    assert decide(facts(now=START + 1300, beat=None))


def test_an_interrupted_run_waits_for_the_reclaim_then_goes_on() -> None:
    """INTERRUPTED and still running: EC2 takes it, and its first hour is free. Then the next."""
    left = marker("INTERRUPTED", "interrupted")
    assert decide(facts(attempt_marker=left)) == ()
    assert isinstance(decide(facts(now=left.at + 700, attempt_marker=left))[0], End)
    gone = facts(attempt_marker=left, machines=(ended("Server.SpotInstanceTermination"),))
    assert decide(gone)[-1] == Relaunch(number=2, market="spot")


def test_a_machine_that_somebody_ended_stays_ended() -> None:
    """Terminated by hand without a marker: the run is over, nothing is relaunched."""
    (step,) = decide(facts(machines=(ended("Client.UserInitiatedShutdown"),)))
    assert isinstance(step, Mark)
    assert (step.final, step.verdict.reason) == (True, "lost")


@pytest.mark.parametrize("lingered", [601, 1500])
def test_an_interrupted_machine_that_lingered_is_replaced(lingered: float) -> None:
    """The guardian ended it, which EC2 tells as it tells an end by hand: the run goes on."""
    left = marker("INTERRUPTED", "interrupted")
    lingering = facts(now=left.at + lingered, attempt_marker=left)
    assert isinstance(decide(lingering)[0], End)
    at = float(int(lingering.now))
    dead = dataclasses.replace(ended("Client.UserInitiatedShutdown"), ended_at=at)
    after = facts(now=lingering.now + 60, attempt_marker=left, machines=(dead,))
    assert decide(after)[-1] == Relaunch(number=2, market="spot")


def test_an_interrupted_machine_that_is_ended_by_hand_stays_ended() -> None:
    """Before the guardian would have: whoever did it meant it."""
    left = marker("INTERRUPTED", "interrupted")
    dead = dataclasses.replace(ended("Client.UserInitiatedShutdown"), ended_at=left.at + 300)
    (step,) = decide(facts(now=left.at + 1200, attempt_marker=left, machines=(dead,)))
    assert isinstance(step, Mark)
    assert (step.final, step.verdict.kind) == (True, "INTERRUPTED")


def test_a_stopped_machine_is_ended() -> None:
    """Whoever stopped it: its disk would bill until the deadline. The run is over."""
    for left in (None, marker("INTERRUPTED", "interrupted")):
        stopped = ended("Client.UserInitiatedShutdown", "stopped")
        end, last = decide(facts(machines=(stopped,), attempt_marker=left))
        assert isinstance(end, End)
        assert end.machines == ("i-1",)
        assert isinstance(last, Mark)
        assert (last.final, last.verdict.reason) == (True, left.reason if left else "lost")
    assert decide(facts(machines=(ended(state="stopping"),))) == ()


def test_no_machine_is_asked_for_near_the_deadline() -> None:
    """With less than ten minutes left a machine would only boot: the run ends as interrupted."""
    late = facts(
        now=LAUNCH.deadline - 500,
        attempt_marker=marker("INTERRUPTED", "interrupted"),
        machines=(ended("Server.SpotInstanceTermination"),),
    )
    (step,) = decide(late)
    assert isinstance(step, Mark)
    assert (step.final, step.verdict.kind) == (True, "INTERRUPTED")


def test_the_agents_last_word_becomes_the_runs() -> None:
    """An attempt that failed on its own is never repeated; its marker is copied."""
    (step,) = decide(facts(attempt_marker=marker("FAILURE", "exit"), machines=(ended(),)))
    assert isinstance(step, Mark)
    assert (step.final, step.verdict.reason) == (True, "exit")


def test_a_finished_run_is_released_and_its_machine_not_forgotten() -> None:
    """A machine that goes on ten minutes after the last word is ended; then nothing is kept."""
    over = marker("SUCCESS", "ok")
    assert decide(facts(marker=over)) == ()
    assert isinstance(decide(facts(now=over.at + 700, marker=over))[0], End)
    assert decide(facts(marker=over, machines=())) == (Release(),)


def test_the_clients_own_request_is_the_clients_to_repeat() -> None:
    """A request without an answer is not repeated by the guardian unless it made it."""
    asked = dataclasses.replace(ATTEMPT, instance_id=None, launched_at=None)
    assert decide(facts(attempts=(asked,), machines=())) == ()
    (again,) = decide(facts(attempts=(asked,), machines=(), ours=True))
    assert again == Relaunch(number=1, market="spot", again=True)


def test_refused_relaunches_use_up_the_policy() -> None:
    """Spot twice, then on-demand, then the end: each refusal moves on."""
    refused = Refusal(kind="capacity", code="InsufficientInstanceCapacity", message="none")
    tries = [ATTEMPT]
    markets = []
    for _ in range(5):
        asked = facts(
            now=START + 600,
            attempts=tuple(tries),
            machines=(ended("Server.SpotInstanceTermination"),),
            attempt_marker=marker("INTERRUPTED", "interrupted") if len(tries) == 1 else None,
            ours=len(tries) > 1,
        )
        steps = decide(asked)
        if not isinstance(steps[-1], Relaunch):
            break
        markets.append(steps[-1].market)
        tries.append(
            dataclasses.replace(
                ATTEMPT,
                number=steps[-1].number,
                market=steps[-1].market,
                instance_id=None,
                refusals=(refused,),
            )
        )
    assert markets == ["spot", "on-demand"]
    assert isinstance(steps[-1], Mark)
    assert steps[-1].final


@given(st.integers(0, 5), st.sampled_from(["on-demand", "stop"]), st.integers(0, 9))
def test_the_policy_bounds_the_tries(spot: int, then: str, made: int) -> None:
    """Never more spot tries than the policy says, and at most one on demand."""
    policy = SpotPolicy(attempts=spot, then=then)  # type: ignore[arg-type]
    market = next_market(policy, [ATTEMPT] * made, "us-east-1")
    if market == "spot":
        assert 0 < made < spot
    elif market == "on-demand":
        assert (made, then) == (spot, "on-demand")
