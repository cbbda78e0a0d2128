"""Several cells measured in turns, in fresh processes, so that they share the machine's moods.

Each cell has a process of its own (`lane`), started anew a few times: one layout in memory is one
draw of luck, and so is one place of its arrays, which is drawn anew several times per process. In a
round every cell has two turns, in a random order and then in the reverse of it
(ABBA for two), so that drift and order cancel. A false verdict on equal code came 18 times in 80
where A was measured before B, and never in turns; the figures are in the documentation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyback.spec.result import Result
from flyback.stats.bootstrap import median
from flyback.stats.verdict import LEAST_EFFECT, Ratio, paired
from flyback.workloads.lanes import Lane, LaneError
from flyback.workloads.stopping import Stop

__all__ = [
    "CONTROL",
    "QUICK_NS",
    "CellSpec",
    "Measured",
    "Schedule",
    "Session",
    "ratio_between",
    "turn_of",
]

_MOST_A_TURN = 50
QUICK_NS = 200_000_000
"""A set-up that takes longer is done once per restart, ns."""


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One cell of a session.

    Args:
        workload: Name in the registry, or `module:Class`.
        parameters: Checked by the lane.
        label: How people tell it from the others.
        env: Variables of its process beside this one's; `PYTHONPATH` brings another version.
    """

    workload: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


CONTROL = CellSpec(
    workload="flyback.workloads.control:Control",
    label="control",
    parameters={"warmup": 5},
)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long cells take turns.

    Args:
        restarts: Fresh processes per cell, at least.
        most_restarts: As many at most, while a comparison is undecided.
        layouts: Times per restart that a cell is set up anew, elsewhere in memory.
        rounds: Per layout.
        turn_ns: A turn takes about so long.
        seconds: No layout begins later, where adaptive.
        seed: Of the order.
        least_effect: Of the verdict that ends it early.
        adaptive: Whether undecided comparisons go on, and decided ones end.
    """

    restarts: int = 3
    most_restarts: int = 8
    layouts: int = 8
    rounds: int = 5
    turn_ns: int = 1_000_000
    seconds: float = 20.0
    seed: int = 0
    least_effect: float = LEAST_EFFECT
    adaptive: bool = True


@dataclass
class Measured:
    """One cell of a session, measured.

    Attributes:
        spec: What was asked for.
        layouts: Restart → samples of each layout in memory, ns.
        results: The record of each restart.
        failure: Why there is none.
        status: `ok`, `invalid`, `skipped` or `error`.
    """

    spec: CellSpec
    layouts: dict[int, list[list[int]]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    failure: str = ""
    status: str = "ok"

    @property
    def samples(self) -> list[int]:
        """Every sample, in order."""
        return [x for layouts in self.layouts.values() for each in layouts for x in each]


class Session:
    """Measures cells in turns.

    Args:
        cells: The first is the baseline of comparisons.
        schedule: How long.
        stop: Asked before each round whether to end early.
        report: Told what happens.
    """

    def __init__(
        self,
        cells: Sequence[CellSpec],
        schedule: Schedule,
        stop: Stop | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.measured = [Measured(spec) for spec in cells]
        self._schedule = schedule
        self._stop = stop or Stop()
        self._report = report
        self._began = time.perf_counter()
        self._rng = random.Random(schedule.seed)  # noqa: S311  # an order, not a secret

    def run(self) -> list[Measured]:
        """Measure until every comparison with the first cell is decided, or time is up."""
        schedule = self._schedule
        self._began = time.perf_counter()
        for restart in range(schedule.most_restarts):
            if restart >= schedule.restarts and (not schedule.adaptive or self._decided()):
                break
            if self._is_late():
                break
            self._report(f"restart {restart + 1}")
            self._restart(restart)
            if all(cell.status != "ok" for cell in self.measured):
                break
        return self.measured

    def _is_late(self) -> bool:
        schedule = self._schedule
        return schedule.adaptive and time.perf_counter() - self._began > schedule.seconds

    def _decided(self) -> bool:
        first, *others = self.measured
        return all(
            ratio_between(first, other, self._schedule.least_effect).verdict != "undecided"
            for other in others
            if first.status == other.status == "ok"
        )

    def _restart(self, restart: int) -> None:
        schedule = self._schedule
        with _open_lanes([c for c in self.measured if c.status == "ok"]) as lanes:
            turns = [_Turns(cell, lane, schedule.turn_ns) for cell, lane in lanes]
            for cell, _ in lanes:
                cell.layouts[restart] = []
            for layout in range(schedule.layouts):
                self._stop.check("taking turns")
                if self._is_late():
                    break
                if layout:
                    self._renew(lanes)
                for cell, _ in lanes:
                    cell.layouts[restart].append([])
                for _ in range(schedule.rounds):
                    self._round(turns)
            for cell, lane in lanes:
                result = lane.finish()
                cell.results.append(result)
                if result.status == "invalid":
                    _fail(cell, "invalid", result.reason)

    def _renew(self, lanes: Sequence[tuple[Measured, Lane]]) -> None:
        for _, lane in self._rng.sample(list(lanes), len(lanes)):
            if lane.setup_ns <= QUICK_NS:
                lane.renew(self._rng.randrange(1 << 30))

    def _round(self, turns: Sequence[_Turns]) -> None:
        order = self._rng.sample(list(turns), len(turns))
        for each in [*order, *reversed(order)]:
            each.take()


def turn_of(typical_ns: int, turn_ns: int) -> tuple[int, int]:
    """Samples of a turn, and calls before them that are not timed."""
    count = max(1, min(_MOST_A_TURN, turn_ns // max(typical_ns, 1)))
    return count, 2 if count > 1 else 0


class _Turns:
    """How one cell takes its turns."""

    def __init__(self, cell: Measured, lane: Lane, turn_ns: int) -> None:
        self._cell = cell
        self._lane = lane
        self._count, self._settle = turn_of(lane.typical_ns, turn_ns)

    def take(self) -> None:
        """One turn; its samples belong to the latest layout of the latest restart."""
        *_, latest = self._cell.layouts.values()
        latest[-1].extend(self._lane.turn(self._count, self._settle))


def ratio_between(a: Measured, b: Measured, least_effect: float = LEAST_EFFECT) -> Ratio:
    """How long B takes in units of A, from the rounds that both took part in."""
    pairs = {
        restart: [
            (median(one), median(other))
            for one, other in zip(a.layouts[restart], b.layouts[restart], strict=False)
        ]
        for restart in a.layouts
        if restart in b.layouts
    }
    return paired(pairs, least_effect)


class _open_lanes:  # noqa: N801  # reads as the function that it is used as
    """All lanes of one restart; those that cannot begin are struck from it."""

    def __init__(self, cells: Sequence[Measured]) -> None:
        self._cells = cells
        self._lanes: list[Lane] = []

    def __enter__(self) -> list[tuple[Measured, Lane]]:
        started = []
        for cell in self._cells:
            spec = cell.spec
            lane = Lane(spec.workload, spec.parameters, spec.env)
            self._lanes.append(lane)
            started.append((cell, lane))
        return list(self._ready(started))

    def _ready(self, started: Sequence[tuple[Measured, Lane]]) -> Iterator[tuple[Measured, Lane]]:
        for cell, lane in started:
            try:
                lane.open()
            except LaneError as error:
                _fail(cell, error.status, error.what)
                continue
            yield cell, lane

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.close()


def _fail(cell: Measured, status: str, why: str) -> None:
    cell.status, cell.failure = status, why
    cell.layouts.clear()
