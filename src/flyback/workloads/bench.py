"""A benchmark on this machine: cells in turns, one record and one file of samples for each.

`prepare` decides what will run, `predicted` asks how long it will take; `bench` runs it and writes
a folder like that of a run: `results.jsonl`, `samples/…`.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import resource
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.spec.jsonlines import append_line
from flyback.spec.result import Result, Status
from flyback.stats.bootstrap import median
from flyback.stats.quantiles import summarize
from flyback.workloads import registry
from flyback.workloads.control import CONTROL_VERSION
from flyback.workloads.lanes import Lane, LaneError
from flyback.workloads.nvml import locked_clocks
from flyback.workloads.roofline import suspicion
from flyback.workloads.session import (
    CONTROL,
    CellSpec,
    Measured,
    Schedule,
    Session,
    turn_of,
)
from flyback.workloads.stopping import Stop

__all__ = ["BASELINES", "Benchmark", "bench", "predicted", "prepare", "row_of", "set_against"]

BASELINES = "against"  # folder of their rows
_TURNS = 4  # that a prediction takes


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What will be measured.

    Args:
        cells: In order, with all their parameters; those of one group take turns.
        schedule: How long.
        together: Cells of a group. Of more, a round would outlast the machine's mood.
        clock_mhz: The GPU's clock is held there meanwhile; None leaves it alone.
        against: Whether cells come in twos, each after its baseline.
    """

    cells: tuple[CellSpec, ...]
    schedule: Schedule
    together: int = 5
    clock_mhz: int | None = None
    against: bool = False


def prepare(
    workload: str, values: Mapping[str, Sequence[Any]], schedule: Schedule | None = None
) -> Benchmark:
    """Check every cell.

    Args:
        workload: Its name.
        values: Parameter → the values that it takes; every combination is a cell.
        schedule: How long; None takes the default.

    Raises:
        UserError: there is no such workload.
        ParameterError: a parameter is unknown or wrong.
    """
    schedule = schedule or Schedule(adaptive=False)
    cells = []
    for chosen in itertools.product(*values.values()):
        parameters = dict(zip(values, chosen, strict=True))
        resolved = registry.check_parameters(workload, parameters)
        varying = [name for name, each in values.items() if len(each) > 1]
        label = " ".join(f"{name}={parameters[name]}" for name in varying) or workload
        cells.append(CellSpec(workload=workload, parameters=resolved, label=label))
    return Benchmark(cells=tuple(cells), schedule=schedule)


def set_against(
    benchmark: Benchmark,
    parameters: Mapping[str, Any],
    env: Mapping[str, str],
    schedule: Schedule,
) -> Benchmark:
    """Every cell beside a baseline, which differs from it in what is given here.

    Args:
        benchmark: From `prepare`.
        parameters: Of the baselines, where they differ.
        env: Variables of the baselines' processes, where they differ.
        schedule: Of each pair.

    Raises:
        ParameterError: a parameter is unknown or wrong.
    """
    cells: list[CellSpec] = []
    for cell in benchmark.cells:
        changed = {**cell.parameters, **parameters}
        resolved = registry.check_parameters(cell.workload, changed)
        cells += [dataclasses.replace(cell, parameters=resolved, env={**cell.env, **env}), cell]
    return dataclasses.replace(
        benchmark,
        cells=tuple(cells),
        schedule=dataclasses.replace(schedule, comparisons=len(benchmark.cells)),
        together=2,
        against=True,
    )


def predicted(benchmark: Benchmark) -> float:
    """Processor time that it will take, minutes: each cell is started once and asked.

    Where comparisons go on until they are decided, that of the fewest restarts.

    What a process costs until it is warm is what this one cost, and so with one more place in
    memory and one more turn.
    """
    groups = list(_grouped(benchmark))
    cells = (*benchmark.cells, *[CONTROL] * len(groups))
    return sum(_predicted_s(spec, benchmark.schedule) for spec in cells) / 60


def _predicted_s(spec: CellSpec, schedule: Schedule) -> float:
    """Processor time of one cell, seconds; of one that fails, what it takes to fail."""
    before = _children_s()
    lane = Lane(spec.workload, spec.parameters, spec.env)
    more = 0.0
    try:
        lane.open()
        began = lane.used_ns()
        if lane.is_quick:
            lane.renew(0)
        renewed = lane.used_ns()
        for _ in range(_TURNS):
            lane.turn(*turn_of(lane.typical_ns, schedule.turn_ns, paced=lane.paced))
        ended = lane.used_ns()
        turns = 2 * schedule.layouts * schedule.rounds
        more = (schedule.layouts - 2) * (renewed - began) / 1e9 if lane.is_quick else 0.0
        more += (turns - _TURNS) * (ended - renewed) / _TURNS / 1e9
        lane.finish()
    except LaneError as error:
        lane.close()
        return _children_s() - before if error.status != "error" else 0.0
    lane.close()
    return schedule.restarts * (_children_s() - before + more)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bench(
    benchmark: Benchmark,
    folder: Path,
    stop: Stop | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Measure, write the folder, and give the rows; a cell that failed has a row that says why.

    Args:
        benchmark: From `prepare`.
        folder: Of the results; what is there stays. Rows of baselines go to its folder `against`.
        stop: Asked between rounds whether to end early.
        report: Told what happens.

    Raises:
        MissingExtraError: clocks are to be locked, and nvidia-ml-py is not installed.
        RefusedError: the driver does not lock them.
    """
    rows: list[Result] = []
    with locked_clocks(benchmark.clock_mhz):
        for group in _grouped(benchmark):
            if len(group) < len(benchmark.cells):
                labels = dict.fromkeys(spec.label for spec in group)
                report(f"{len(rows)} of {len(benchmark.cells)} rows; now {', '.join(labels)}")
            cells = Session((*group, CONTROL), benchmark.schedule, stop, report).run()
            *own, control = cells
            session = uuid.uuid4().hex
            for cell in own:
                is_baseline = benchmark.against and cell is own[0]
                place = folder / BASELINES if is_baseline else folder
                row = row_of(cell, control, session, place / "samples")
                method = {**row.method, **_planned(benchmark)}
                number = len(rows) // 2 if benchmark.against else len(rows)
                row = dataclasses.replace(row, cell=number, method=method)
                append_line(place / "results.jsonl", row)
                rows.append(row)
    return rows


def _planned(benchmark: Benchmark) -> dict[str, Any]:
    """What a comparison needs to know of the plan: what was asked for, and how often one looked."""
    schedule = benchmark.schedule
    return {
        "clock_mhz": benchmark.clock_mhz,
        "restarts_asked": schedule.restarts,
        "looks": schedule.looks,
    }


def row_of(cell: Measured, control: Measured, session: str, samples: Path) -> Result:
    """The record of a cell: the samples of all restarts together.

    Args:
        cell: Measured in a session.
        control: The calibration cell of that session.
        session: Its id.
        samples: Folder for raw samples.
    """
    if not cell.results or cell.status != "ok":
        found = cell.results[-1] if cell.results else Result()
        status: Any = cell.status if cell.status != "ok" else "error"
        return dataclasses.replace(
            found,
            status=status,
            reason=cell.failure,
            workload=found.workload or {"name": cell.spec.workload},
            params=found.params or dict(cell.spec.parameters),
        )
    last = cell.results[-1]
    latencies = cell.samples
    figures = summarize(latencies)
    colds = [each.cold_first_s for each in cell.results if each.cold_first_s is not None]
    status, reason, limit = _limit(last, figures["p50"])
    work = last.work or {}
    wall_ns = sum(each.method["wall_ns"] for each in cell.results)
    calls = sum((each.latency_ns or {})["n"] * each.method["inner"] for each in cell.results)
    per_second = calls * 1e9 / max(wall_ns, 1)
    return dataclasses.replace(
        last,
        status=status,
        reason=reason,
        latency_ns=figures,
        roofline=limit,
        cold_first_s=sorted(colds)[len(colds) // 2] if colds else None,
        stream=_stream(cell, figures, wall_ns),
        health=max((each.health for each in cell.results), key=_disturbed),
        rate={
            "items_s": per_second * work.get("items", 0),
            "flop_s": per_second * work.get("flops", 0),
            "bytes_s": per_second * work.get("bytes", 0),
        },
        samples=_save(samples, cell, control, last.workload["name"]),
        method={
            **last.method,
            "session": session,
            "schedule": f"{last.method['schedule']}; in turns with the other cells of the session",
            "wall_ns": wall_ns,
            "control": _control(control),
            "cpu_ns": sum(each.method["cpu_ns"] for each in cell.results),
            "restarts": len(cell.layouts),
            "layouts": [len(each) for each in cell.layouts.values()],
        },
    )


def _limit(last: Result, p50_ns: Any) -> tuple[Status, str, Mapping[str, Any] | None]:
    """Status, reason and `roofline` of the median of all restarts; `last` has one's own."""
    if last.roofline is None or not p50_ns:
        return "ok", "", None
    efficiency = last.roofline["bound_ns"] / p50_ns
    limit = {**last.roofline, "efficiency": round(efficiency, 4)}
    reason = suspicion(efficiency)
    return "suspect" if reason else "ok", reason, limit


def _stream(cell: Measured, figures: Mapping[str, Any], wall_ns: int) -> dict[str, Any] | None:
    """Margins, misses and backlog of all restarts together."""
    from flyback.workloads.record import streamed

    last = cell.results[-1]
    if last.stream is None:
        return None
    backlog = max((each.stream or {}).get("backlog_max", 0) for each in cell.results)
    items = (last.work or {})["items"]
    return streamed({**last.stream, "backlog_max": backlog}, items, cell.samples, figures, wall_ns)


def _control(control: Measured) -> dict[str, Any] | None:
    """What the calibration cell took: the unit of a history."""
    found = control.samples
    if not found:
        return None
    return {"version": CONTROL_VERSION, "n": len(found), "p50_ns": round(median(found))}


def _disturbed(health: Mapping[str, Any]) -> int:
    """How much a restart was disturbed; the row shows the worst."""
    order = ("clean", "unknown", "contended", "throttled")
    return order.index(health["verdict"]) if health.get("verdict") in order else 0


def _grouped(benchmark: Benchmark) -> Iterator[Sequence[CellSpec]]:
    for start in range(0, len(benchmark.cells), benchmark.together):
        yield benchmark.cells[start : start + benchmark.together]


def _save(folder: Path, cell: Measured, control: Measured, name: str) -> dict[str, Any]:
    import hashlib

    import numpy as np

    from flyback.spec.codec import write_atomic

    columns = np.array(
        [
            (value, restart, layout)
            for restart, layouts in cell.layouts.items()
            for layout, values in enumerate(layouts)
            for value in values
        ],
        np.int64,
    )
    arrays = dict(zip(("latency_ns", "restart", "layout"), columns.T.copy(), strict=True))
    arrays["control_ns"] = np.array(control.samples, np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"{name}-{uuid.uuid4().hex[:12]}-{sha256[:12]}.npz"
    write_atomic(folder / file, data)
    return {
        "n": len(columns), "sha256": sha256, "file": file, "array": "latency_ns", "unit": "ns",
    }  # fmt: skip
