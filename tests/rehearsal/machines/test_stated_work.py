"""A factor of 0: a job takes as long as it says, and nothing depends on how fast a computer is."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyback.rehearsal.clock import ClockError, VirtualClock

START = 1_700_000_000.0
PID = 7


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START, factor=0.0)
    yield clock
    clock.close()


class Job:
    """A child that works in stages, each as long as it says; `done` grows with each.

    Args:
        clock: The clock.
        machine: Its parent's name.
        stages: Simulated seconds.
        dawdle: Real seconds that it loses before each, in turn: what a busy computer does to it.
    """

    def __init__(
        self, clock: VirtualClock, machine: str, stages: Sequence[int], dawdle: Sequence[float]
    ) -> None:
        self.done = 0
        self.ended = False
        self._clock = clock
        self._machine = machine
        self._stages = stages
        self._dawdle = itertools.cycle(dawdle)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        for seconds in self._stages:
            self._lose_time()
            self._clock.worked(self._machine, seconds)
            self._lose_time()
            self.done += 1
        self._lose_time()
        self.ended = True
        self._clock.resume(self._machine, PID)

    def _lose_time(self) -> None:
        threading.Event().wait(next(self._dawdle))


def watched(job: Job, clock: VirtualClock, machine: str, period: int) -> list[tuple[float, int]]:
    """Wait for a job in steps: at which times its parent looked, and how far it was then."""
    looks = []
    while not job.ended:
        clock.wait(machine, period, pid=PID)
        looks.append((clock.now() - START, job.done))
    return looks


def expected(stages: Sequence[int], period: int) -> list[tuple[float, int]]:
    """What a parent sees: at every step before the end, and once at the end."""
    ends = list(itertools.accumulate(stages))
    total = sum(stages)
    times = [*range(period, total, period), total]
    return [(float(time), sum(1 for end in ends if end <= time)) for time in times]


@settings(max_examples=60)
@given(
    jobs=st.lists(
        st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 6)),
        min_size=1,
        max_size=3,
    ),
    dawdle=st.lists(st.sampled_from([0.0, 0.0002, 0.001]), min_size=1, max_size=5),
)
def test_what_a_parent_sees_does_not_depend_on_speed(
    jobs: list[tuple[list[int], int]], dawdle: list[float]
) -> None:
    """However slow each child is, ties included, all parents see what arithmetic says."""
    clock = VirtualClock(START, factor=0.0)
    order: list[tuple[float, int]] = []
    seen: dict[int, list[tuple[float, int]]] = {}
    gate = threading.Event()

    def live(number: int, stages: list[int], period: int) -> None:
        gate.wait()
        job = Job(clock, f"machine {number}", stages, dawdle)
        job.start()
        seen[number] = watched(job, clock, f"machine {number}", period)
        order.append((clock.now() - START, number))

    threads = [
        clock.spawn(f"machine {number}", lambda _, a=(number, *job): live(*a))
        for number, job in enumerate(jobs)
    ]
    gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), clock.explain()
    clock.close()
    assert seen == {number: expected(*job) for number, job in enumerate(jobs)}
    assert order == sorted((float(sum(job[0])), number) for number, job in enumerate(jobs))


def test_a_job_that_says_nothing_takes_no_time(clock: VirtualClock) -> None:
    """Time stands still while it runs."""
    clock.join("machine")
    job = Job(clock, "machine", [], [0.01])
    job.start()
    assert watched(job, clock, "machine", 5) == [(0.0, 0)]


def test_a_signal_is_noted_at_once(clock: VirtualClock) -> None:
    """A job that is told to end while it works ends then, not when it would have been ready."""
    clock.join("machine")
    job = Job(clock, "machine", [60], [0.0])
    job.start()
    assert clock.wait("machine", 20, pid=PID) == START + 20
    clock.signalled("machine")
    assert clock.wait("machine", 45, pid=PID) == START + 20
    assert job.ended


def test_a_job_that_is_killed_at_work_is_over(clock: VirtualClock) -> None:
    """Its parent goes on at once; a later job of the machine begins anew."""
    clock.join("machine")
    heard = threading.Event()
    threading.Thread(target=lambda: (clock.worked("machine", 60), heard.set()), daemon=True).start()
    assert clock.wait("machine", 20, pid=PID) == START + 20
    clock.resume("machine", PID)
    assert clock.wait("machine", 45, pid=PID) == START + 20
    assert heard.wait(10)
    clock.resume("machine", PID + 1)
    assert clock.wait("machine", 45, pid=PID + 1) == START + 20


def test_a_closed_clock_frees_those_at_work(clock: VirtualClock) -> None:
    """A job that works is not left waiting; it learns why."""
    clock.join("machine")
    said: list[str] = []

    def work() -> None:
        try:
            clock.worked("machine", 60)
        except ClockError as error:
            said.append(str(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    clock.wait("machine", 20, pid=PID)
    clock.close()
    thread.join(10)
    assert "closed" in said[0]
