"""The agent follows a deadline that moves, once the machine's own timer has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flyback.agent.deadline import Deadline

START = 1_800_000_000.0
HOUR = 3600.0


class Lease:
    """A tag, a timer that may refuse to be set, and the agent between them."""

    def __init__(self, *, armed: float | None = None) -> None:
        self.tag: float | None = START + HOUR
        self.works = True
        self.set: list[float | None] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        journal: Any = SimpleNamespace(tell=lambda kind, **more: self.told.append((kind, more)))
        self.deadline = Deadline(START + HOUR, START, journal, lambda: self.tag, self._rearm, armed)

    def _rearm(self) -> bool:
        self.set.append(self.tag)
        return self.works

    def ends_at(self, begin: float = START) -> float:
        """When the job is asked to end, looked at each minute."""
        now = begin
        while self.deadline.tick(now) is None:
            now += 60
        return now - START


def test_a_moved_deadline_is_adopted_once_the_timer_is_set() -> None:
    """Told once, with what was; the job goes on until the new one."""
    lease = Lease()
    assert lease.deadline.tick(START) is None
    lease.tag = START + 2 * HOUR
    assert lease.deadline.tick(START + 60) is None
    assert lease.told == [("extended", {"deadline": START + 2 * HOUR, "was": START + HOUR})]
    assert lease.ends_at(START + 120) == 2 * HOUR - 180
    assert lease.set == [START + 2 * HOUR]


def test_a_timer_that_fails_is_set_again_a_minute_later() -> None:
    """Until then nothing is told, and it is tried each minute."""
    lease = Lease()
    lease.tag, lease.works = START + 2 * HOUR, False
    for minute in range(3):
        assert lease.deadline.tick(START + 60 * minute) is None
    assert (len(lease.set), lease.told) == (3, [])
    lease.works = True
    assert lease.deadline.tick(START + 180) is None
    assert lease.deadline.tick(START + 240) is None
    assert (len(lease.set), len(lease.told)) == (4, 1)
    assert lease.ends_at(START + 300) == 2 * HOUR - 180


def test_a_timer_that_stays_behind_ends_the_job_in_time_to_save() -> None:
    """The machine goes off at the old deadline: the job is asked to end before that."""
    lease = Lease()
    lease.tag, lease.works = START + 2 * HOUR, False
    assert lease.ends_at() == HOUR - 180


def test_an_earlier_deadline_holds_whatever_the_timer_does() -> None:
    """A move that was undone: schedules outside end the machine then."""
    lease = Lease()
    lease.tag, lease.works = START + HOUR / 2, False
    assert lease.ends_at() == HOUR / 2 - 180


def test_a_timer_that_was_set_before_the_move_is_set_anew() -> None:
    """The launch that the agent read says the new deadline, the boot program read the old."""
    lease = Lease(armed=START + HOUR / 2)
    assert lease.deadline.tick(START) is None
    assert lease.set == [START + HOUR]
    assert lease.told == [("extended", {"deadline": START + HOUR, "was": START + HOUR / 2})]
    silent = Lease(armed=START + HOUR / 2)
    silent.tag = None  # no metadata service: the earlier one holds
    assert silent.ends_at() == HOUR / 2 - 180
