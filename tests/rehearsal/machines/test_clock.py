from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyback.rehearsal.clock import ClockError, VirtualClock
from flyback.spec.clock import Clock

START = 1_700_000_000.0


class RealTime:
    """Real time that a test moves by hand; a move wakes the clock up."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.clock: VirtualClock | None = None

    def __call__(self) -> float:
        return self.seconds

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        assert self.clock is not None
        self.clock.call_at(float("inf"), lambda: None)  # any change makes the clock look again


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    yield clock
    clock.close()


@pytest.fixture
def real() -> RealTime:
    return RealTime()


@pytest.fixture
def handmade(real: RealTime) -> Iterator[VirtualClock]:
    clock = VirtualClock(START, factor=10.0, real=real)
    real.clock = clock
    yield clock
    clock.close()


def ended(*threads: threading.Thread) -> None:
    """Join threads that must end by themselves."""
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def background(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    """Let other threads go on until a condition holds."""
    pause = threading.Event()
    for _ in range(5000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("the condition never held")


def test_time_stands_still_while_a_participant_runs(clock: VirtualClock) -> None:
    """A due event does not happen, and time does not move, until the running one waits."""
    seen: list[float] = []
    client = clock.participant("client")
    client.join()
    clock.call_after(5, lambda: seen.append(clock.now()))
    clock.spawn("other", lambda own: own.sleep(1))
    threading.Event().wait(0.02)
    assert clock.now() == START
    assert seen == []
    client.sleep(10)
    assert seen == [START + 5]
    assert clock.now() == START + 10


def test_time_stands_still_with_nobody(clock: VirtualClock) -> None:
    """Scheduled events alone do not make time pass, but what is due now happens."""
    seen: list[str] = []
    clock.call_after(1, lambda: seen.append("later"))
    clock.call_after(0, lambda: seen.append("now"))
    until(lambda: bool(seen))
    threading.Event().wait(0.02)
    assert seen == ["now"]
    assert clock.now() == START


def test_hours_pass_in_milliseconds(clock: VirtualClock) -> None:
    """A day of two participants that wait minutes takes no real time to speak of."""
    begun = time.monotonic()

    def guard(own: Clock) -> None:
        for _ in range(96):
            own.sleep(900)

    client = clock.participant("client")
    client.join()
    clock.spawn("guard", guard)
    for _ in range(1440):
        client.sleep(60)
    assert clock.now() == START + 86_400
    assert time.monotonic() - begun < 5


def test_equal_times_keep_the_order_of_insertion(clock: VirtualClock) -> None:
    """Actions at one time run as they were put in, and before the waits that end then."""
    seen: list[str] = []
    client = clock.participant("client")
    client.join()
    clock.call_after(5, lambda: seen.append("first"))
    clock.call_after(5, lambda: seen.append("second")).cancel()
    clock.call_after(5, lambda: seen.append("third"))
    client.sleep(5)
    seen.append("client")
    assert seen == ["first", "third", "client"]


def test_an_action_may_schedule_and_cancel(clock: VirtualClock) -> None:
    """An action puts in another at its own time; that one runs too, before the wait ends."""
    seen: list[float] = []
    client = clock.participant("client")
    client.join()
    doomed = clock.call_after(7, lambda: seen.append(-1.0))
    clock.call_after(
        5, lambda: (doomed.cancel(), clock.call_after(0, lambda: seen.append(clock.now())))
    )
    client.sleep(10)
    assert seen == [START + 5]


def test_an_event_in_the_past_happens_now(clock: VirtualClock) -> None:
    """`call_at` a time that has passed never moves time backwards."""
    client = clock.participant("client")
    client.join()
    client.sleep(100)
    seen: list[float] = []
    clock.call_at(START, lambda: seen.append(clock.now()))
    client.sleep(1)
    assert seen == [START + 100]


def test_leaving_wakes_and_never_freezes(clock: VirtualClock) -> None:
    """A participant that leaves while it waits is woken, and time goes on without it."""
    client = clock.participant("client")
    client.join()
    dead = clock.participant("dead")
    dead.join()
    thread = background(lambda: dead.sleep(1e9))
    until(lambda: "dead waits" in clock.explain())
    clock.leave("dead")
    clock.leave("dead")
    ended(thread)
    client.sleep(60)
    assert clock.now() == START + 60


def test_a_machine_that_dies_while_it_runs_gives_time_free(clock: VirtualClock) -> None:
    """What stands in time's way is only the one that left."""
    clock.join("machine")
    client = clock.participant("client")
    client.join()
    thread = background(lambda: client.sleep(60))
    until(lambda: "client waits" in clock.explain())
    assert clock.now() == START
    clock.leave("machine")
    ended(thread)
    assert clock.now() == START + 60


def test_closing_says_who_waits(clock: VirtualClock) -> None:
    """Whoever waits when the clock closes gets an error that names the one who held time."""
    errors: list[str] = []
    clock.join("culprit")

    def wait() -> None:
        with pytest.raises(ClockError) as caught:
            clock.participant("victim").sleep(5)
        errors.append(str(caught.value))

    thread = background(wait)
    until(lambda: "victim" in clock.explain())
    clock.close()
    ended(thread)
    assert "culprit runs, victim waits 5 s" in errors[0]
    with pytest.raises(ClockError, match="closed"):
        clock.participant("late").sleep(1)


def test_a_failing_event_is_loud(clock: VirtualClock) -> None:
    """An action that raises fails every wait with its error, instead of hanging or hiding it."""
    client = clock.participant("client")
    client.join()
    clock.call_after(1, lambda: {}["no such key"])
    with pytest.raises(ClockError, match="no such key") as caught:
        client.sleep(5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_failing_thread_is_loud(clock: VirtualClock) -> None:
    """A spawned participant that raises fails the waits of the others."""
    client = clock.participant("client")
    client.join()

    def fail(own: Clock) -> None:
        own.sleep(1)
        raise ValueError("broken guard")

    clock.spawn("guard", fail)
    with pytest.raises(ClockError, match=r"guard failed: .*broken guard"):
        client.sleep(5)


def test_a_second_wait_of_one_participant_is_refused(clock: VirtualClock) -> None:
    """Two threads behind one name would free time while one of them runs: an error."""
    clock.join("blocker")
    thread = background(lambda: clock.participant("client").sleep(5))
    until(lambda: "client waits" in clock.explain())
    with pytest.raises(ClockError, match="waits already"):
        clock.participant("client").sleep(5)
    clock.leave("blocker")
    ended(thread)


def test_an_interrupted_wait_is_over(clock: VirtualClock) -> None:
    """Ctrl-C while waiting: the participant runs, holds time, and can wait again."""
    clock.join("blocker")
    client = clock.participant("client")
    client.join()

    def interrupt() -> None:
        until(lambda: "client waits" in clock.explain())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # A test run in a shell's background is started with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = background(interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.sleep(1e9)
        ended(thread)
    finally:
        signal.signal(signal.SIGINT, before)
    assert clock.explain() == "blocker runs, client runs"
    clock.leave("blocker")
    client.sleep(5)
    assert clock.now() == START + 5


def test_computing_flows_as_measured(handmade: VirtualClock, real: RealTime) -> None:
    """While one computes, time is measured time times factor; events on the way happen on time."""
    seen: list[float] = []
    handmade.join("machine")
    handmade.call_after(25, lambda: seen.append(handmade.now() - START))
    thread = background(lambda: handmade.wait("machine", 1000, pid=7))
    until(lambda: "computes" in handmade.explain())
    real.pass_(2)
    assert handmade.now() == START + 20
    assert seen == []
    real.pass_(1)
    until(lambda: bool(seen))
    until(lambda: handmade.now() == START + 30)
    assert seen == [25]
    real.pass_(1)
    handmade.resume("machine", 7)
    ended(thread)
    assert handmade.now() == START + 40


def test_the_wait_for_a_computing_child_ends_on_time(
    handmade: VirtualClock, real: RealTime
) -> None:
    """A heartbeat's wait returns when its seconds have passed although the child goes on."""
    handmade.join("machine")
    thread = background(lambda: handmade.wait("machine", 15, pid=7))
    until(lambda: "computes" in handmade.explain())
    real.pass_(5)
    ended(thread)
    assert handmade.now() == START + 15


def test_a_frozen_child_catches_up(handmade: VirtualClock, real: RealTime) -> None:
    """A child that computed while others held time ends at its own measured end."""
    handmade.join("machine")
    handmade.join("client")
    thread = background(lambda: handmade.wait("machine", 1000, pid=7))
    until(lambda: "computes" in handmade.explain())
    real.pass_(3)
    assert handmade.now() == START
    seen: list[float] = []
    handmade.call_after(12, lambda: seen.append(handmade.now() - START))
    client = background(lambda: handmade.wait("client", 1e6))
    until(lambda: handmade.now() == START + 30)
    assert seen == [12]
    real.pass_(1)
    handmade.resume("machine", 7)
    ended(thread)
    assert handmade.now() == START + 40
    handmade.leave("machine")
    ended(client)


def test_a_child_that_ended_in_frozen_time_ends_when_measured(
    handmade: VirtualClock, real: RealTime
) -> None:
    """Resumed while another held time, it still ends at measured times factor, not earlier."""
    ends: list[float] = []
    handmade.join("machine")
    handmade.join("client")
    thread = background(lambda: ends.append(handmade.wait("machine", 5, pid=7) - START))
    until(lambda: "computes" in handmade.explain())
    real.pass_(3)
    handmade.resume("machine", 7)
    real.pass_(3)
    seen: list[float] = []
    handmade.call_after(29, lambda: seen.append(handmade.now() - START))
    handmade.leave("client")
    ended(thread)
    assert ends == [30]
    assert seen == [29]


def test_a_child_that_ended_before_anyone_waited(handmade: VirtualClock) -> None:
    """A wait whose child was already resumed returns at once."""
    handmade.join("machine")
    handmade.resume("machine", 7)
    assert handmade.wait("machine", 100, pid=7) == START


def test_the_least_of_two_computing_bounds_time(handmade: VirtualClock, real: RealTime) -> None:
    """Of two machines that compute, neither sees time beyond the other's progress."""
    handmade.join("a")
    handmade.join("b")
    first = background(lambda: handmade.wait("a", 1000, pid=1))
    until(lambda: "a computes" in handmade.explain())
    real.pass_(2)
    second = background(lambda: handmade.wait("b", 1000, pid=1))
    until(lambda: "b computes" in handmade.explain())
    assert handmade.now() == START
    real.pass_(1)
    assert handmade.now() == START + 10
    handmade.resume("a", 1)
    assert handmade.now() == START + 10
    real.pass_(2)
    until(lambda: "a runs" in handmade.explain())
    assert handmade.now() == START + 30
    handmade.leave("a")
    handmade.resume("b", 1)
    ended(first, second)
    assert handmade.now() == START + 30


def test_a_child_that_was_not_asked_for_is_not_behind(
    handmade: VirtualClock, real: RealTime
) -> None:
    """After a plain sleep the next wait for the child takes its own seconds, no more."""
    handmade.join("machine")
    first = background(lambda: handmade.wait("machine", 10, pid=7))
    until(lambda: "computes" in handmade.explain())
    real.pass_(1)
    ended(first)
    assert handmade.wait("machine", 3600) == START + 3610
    second = background(lambda: handmade.wait("machine", 10, pid=7))
    until(lambda: "computes" in handmade.explain())
    real.pass_(1)
    ended(second)
    assert handmade.now() == START + 3620


def test_an_idle_served_cloud_follows_real_time(real: RealTime) -> None:
    """With a flow speed and nobody taking part, time follows real time; a participant stops it."""
    clock = VirtualClock(START, flow_speed=60.0, real=real)
    real.clock = clock
    seen: list[float] = []
    clock.call_after(90, lambda: seen.append(clock.now() - START))
    real.pass_(1)
    assert clock.now() == START + 60
    assert seen == []
    real.pass_(1)
    until(lambda: bool(seen))
    assert seen == [90]
    before = clock.now()
    clock.join("client")
    real.pass_(100)
    assert clock.now() == before
    clock.leave("client")
    real.pass_(1)
    assert clock.now() == before + 60
    clock.close()


def test_real_time_flows_without_polling() -> None:
    """On the real monotonic clock an event in flowing time comes due by itself."""
    clock = VirtualClock(START, flow_speed=1000.0)
    happened = threading.Event()
    clock.call_after(50, happened.set)
    assert happened.wait(10)
    assert START + 50 <= clock.now() < START + 10_000
    clock.close()


@pytest.mark.parametrize("speeds", [{"factor": -1.0}, {"flow_speed": 0.0}])
def test_speeds_are_not_negative(speeds: dict[str, float]) -> None:
    """A clock that could never go on is refused."""
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock(START, **speeds)


def story(seed: int, members: int, steps: int) -> list[tuple[str, float]]:
    """Participants and events with random waits; every happening in the order it came."""
    clock = VirtualClock(START)
    seen: list[tuple[str, float]] = []
    due: list[float] = []
    master = random.Random(seed)

    def event(name: str, when: float) -> None:
        assert clock.now() == when
        due.remove(when)
        seen.append((name, when))

    def live(own: Clock, name: str, choice: random.Random) -> None:
        before = own.now()
        for step in range(steps):
            own.sleep(choice.choice([0.0, 0.5, 1.0, 1.0, 7.25, 3600.0]))
            now = own.now()
            assert now >= before
            assert not [when for when in due if when < now], "a due event was passed"
            before = now
            seen.append((name, now))
            if choice.random() < 0.5:
                when = now + choice.choice([0.0, 1.0, 60.0])
                due.append(when)
                label = f"{name}.{step}"
                clock.call_at(when, lambda label=label, when=when: event(label, when))  # type: ignore[misc]

    client = clock.participant("client")
    client.join()
    threads = []
    for number in range(members):
        name = f"m{number}"
        choice = random.Random(master.random())

        def target(own: Clock, name: str = name, choice: random.Random = choice) -> None:
            own.sleep(1)
            live(own, name, choice)

        threads.append(clock.spawn(name, target))
    client.sleep(1e6)
    ended(*threads)
    clock.close()
    assert due == []
    return seen


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), members=st.integers(1, 5), steps=st.integers(1, 12))
def test_order_is_decided_by_the_seed(seed: int, members: int, steps: int) -> None:
    """Time never runs backwards, passes no due event, and equal seeds give equal orders."""
    assert story(seed, members, steps) == story(seed, members, steps)
