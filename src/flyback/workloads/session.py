"""Several cells measured in turns, in fresh processes, so that they share the machine's moods.

Each cell has a process of its own (`lane`), started anew a few times: one layout in memory is one
draw of luck, and so is one place of its arrays, which is drawn anew several times per process. In a
round every cell has two turns, in a random order and then in the reverse of it
(ABBA for two), so that drift and order cancel. A false verdict on equal code came 18 times in 80
where A was measured before B, and never in turns; the figures are in the documentation.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyback.spec.result import Result
from flyback.stats.bootstrap import median
from flyback.stats.quantiles import CONFIDENCE
from flyback.stats.verdict import LEAST_EFFECT, Ratio, paired
from flyback.workloads.lanes import Lane, LaneError, LateError
from flyback.workloads.stopping import Stop

__all__ = [
    "CONTROL",
    "CellSpec",
    "Measured",
    "Schedule",
    "Session",
    "ratio_between",
    "turn_of",
]

_MOST_A_TURN = 50
_ARRIVALS = 10  # of a turn in an open loop, at least: of one alone nothing could wait


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
        layouts: Times per restart that a cell is set up anew, elsewhere in memory; twice as often
            in restarts beyond the fewest, since starting costs most of the time on a busy machine.
        rounds: Per layout.
        turn_ns: A turn takes about so long.
        seconds: Where adaptive it ends by then: no layout begins that would outlast it, by the
            longest so far, and processes that are not ready early enough for one are given up. The
            fewest restarts share them: one that is over its share has no more layouts.
        seed: Of the order.
        least_effect: Of the verdict that ends it early.
        adaptive: Whether undecided comparisons go on, and decided ones end.
        comparisons: Of which this is one: `faster` and `slower` have to be certain among so many.
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
    comparisons: int = 1

    @property
    def looks(self) -> int:
        """Times that it asks whether a comparison is decided, at most."""
        return max(1, self.most_restarts - self.restarts + 1) if self.adaptive else 1


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
        cells: The first is the baseline of comparisons, in which `CONTROL` takes no part.
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
        self._ends = math.inf
        self._longest = {"layout": 0.0, "finish": 0.0}
        self._rng = random.Random(schedule.seed)  # noqa: S311  # an order, not a secret

    def run(self) -> list[Measured]:
        """Measure until every comparison with the first cell is decided, or time is up."""
        schedule = self._schedule
        if schedule.adaptive:
            self._ends = time.perf_counter() + schedule.seconds
        for restart in range(schedule.most_restarts):
            if restart >= schedule.restarts and (not schedule.adaptive or self._decided()):
                break
            if restart and self._left() <= 0:
                break
            self._report(f"restart {restart + 1}")
            self._restart(restart)
            if all(cell.status != "ok" for cell in self.measured):
                break
        return self.measured

    def _left(self) -> float:
        """Seconds until the last layout has to begin."""
        return self._ends - time.perf_counter() - sum(self._longest.values())

    def _is_over_its_share(self, restart: int) -> bool:
        """Whether the fewest restarts would not all fit if this one went on."""
        schedule = self._schedule
        later = max(0, schedule.restarts - 1 - restart) / schedule.restarts
        return self._ends - time.perf_counter() < later * schedule.seconds

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._longest[step] = max(self._longest[step], time.perf_counter() - began)

    def _decided(self) -> bool:
        schedule = self._schedule
        first, *others = self.measured
        return all(
            self._is_certain(ratio_between(first, other, schedule.least_effect, schedule.looks))
            for other in others
            if other.spec is not CONTROL and first.status == other.status == "ok"
        )

    def _is_certain(self, ratio: Ratio) -> bool:
        """Whether the verdict holds among all comparisons: by Holm's first step, the strictest."""
        if ratio.verdict in ("faster", "slower"):
            return ratio.p_changed * self._schedule.comparisons <= 1 - CONFIDENCE
        return ratio.verdict == "same"

    def _restart(self, restart: int) -> None:
        with contextlib.ExitStack() as stack:
            lanes = self._open(stack)
            turns = [_Turns(cell, lane, self._schedule.turn_ns) for cell, lane in lanes]
            for cell, _ in lanes:
                cell.layouts[restart] = []
            more = 2 if restart >= self._schedule.restarts else 1
            for layout in range(more * self._schedule.layouts):
                self._stop.check("taking turns")
                if self._left() <= 0 or (layout and self._is_over_its_share(restart)):
                    break
                with self._timed("layout"):
                    self._layout(layout, lanes, turns)
            with self._timed("finish"):
                for cell, lane in lanes:
                    self._finish(cell, lane)

    def _finish(self, cell: Measured, lane: Lane) -> None:
        """Take the record; a lane that ends without one costs its own cell alone."""
        try:
            result = lane.finish()
        except LaneError as error:
            _fail(cell, error.status, error.what)
            return
        cell.results.append(result)
        if result.status == "invalid":
            _fail(cell, "invalid", result.reason)

    def _open(self, stack: contextlib.ExitStack) -> list[tuple[Measured, Lane]]:
        """A lane for each cell, all starting at once; cells whose lane cannot begin have failed.

        None at all where one is late for another restart: that restart is given up.
        """
        started = []
        for cell in self.measured:
            if cell.status == "ok":
                lane = Lane(cell.spec.workload, cell.spec.parameters, cell.spec.env)
                stack.callback(lane.close)
                started.append((cell, lane))
        ready = []
        for cell, lane in started:
            try:
                lane.open(None if math.isinf(self._ends) else max(self._left(), 0.0))
            except LateError as error:
                if cell.results:
                    return []
                _fail(cell, error.status, error.what)
            except LaneError as error:
                _fail(cell, error.status, error.what)
            else:
                ready.append((cell, lane))
        return ready

    def _layout(
        self,
        number: int,
        lanes: Sequence[tuple[Measured, Lane]],
        turns: Sequence[_Turns],
    ) -> None:
        """All rounds of one place in memory."""
        if number:
            self._renew(lanes)
        for cell, _ in lanes:
            *_, latest = cell.layouts.values()
            latest.append([])
        for _ in range(self._schedule.rounds):
            self._round(turns)

    def _renew(self, lanes: Sequence[tuple[Measured, Lane]]) -> None:
        for _, lane in self._rng.sample(list(lanes), len(lanes)):
            if lane.is_quick:
                lane.renew(self._rng.randrange(1 << 30))

    def _round(self, turns: Sequence[_Turns]) -> None:
        order = self._rng.sample(list(turns), len(turns))
        for each in [*order, *reversed(order)]:
            each.take()


def turn_of(typical_ns: int, turn_ns: int, *, paced: bool = False) -> tuple[int, int]:
    """Samples of a turn, and calls before them that are not timed.

    Args:
        typical_ns: Of one sample; where paced, between two arrivals.
        turn_ns: A turn takes about so long.
        paced: Whether samples come when they come, in an open loop.
    """
    count = max(1, min(_MOST_A_TURN, turn_ns // max(typical_ns, 1)))
    if paced:
        return max(count, _ARRIVALS), 0
    return count, 2 if count > 1 else 0


class _Turns:
    """How one cell takes its turns."""

    def __init__(self, cell: Measured, lane: Lane, turn_ns: int) -> None:
        self._cell = cell
        self._lane = lane
        self._count, self._settle = turn_of(lane.typical_ns, turn_ns, paced=lane.paced)

    def take(self) -> None:
        """One turn; its samples belong to the latest layout of the latest restart."""
        *_, latest = self._cell.layouts.values()
        latest[-1].extend(self._lane.turn(self._count, self._settle))


def ratio_between(
    a: Measured, b: Measured, least_effect: float = LEAST_EFFECT, looks: int = 1
) -> Ratio:
    """How long B takes in units of A, from the rounds that both took part in."""
    pairs = {
        restart: [
            (median(one), median(other))
            for one, other in zip(a.layouts[restart], b.layouts[restart], strict=False)
        ]
        for restart in a.layouts
        if restart in b.layouts
    }
    return paired(pairs, least_effect, looks)


def _fail(cell: Measured, status: str, why: str) -> None:
    cell.status, cell.failure = status, why
    cell.layouts.clear()
