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
from flyback.spec.result import Result
from flyback.stats.quantiles import summarize
from flyback.workloads import registry
from flyback.workloads.lanes import Lane, LaneError
from flyback.workloads.session import (
    CONTROL,
    QUICK_NS,
    CellSpec,
    Measured,
    Schedule,
    Session,
    turn_of,
)
from flyback.workloads.stopping import Stop

__all__ = ["Benchmark", "bench", "predicted", "prepare", "row_of"]

_GROUP = 6  # cells that take turns; more would let a round outlast the machine's mood


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What will be measured.

    Args:
        cells: In order; those of one group take turns.
        schedule: How long.
    """

    cells: tuple[CellSpec, ...]
    schedule: Schedule


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
        registry.check_parameters(workload, parameters)
        varying = [name for name, each in values.items() if len(each) > 1]
        label = " ".join(f"{name}={parameters[name]}" for name in varying) or workload
        cells.append(CellSpec(workload=workload, parameters=parameters, label=label))
    return Benchmark(cells=tuple(cells), schedule=schedule)


def predicted(benchmark: Benchmark) -> float:
    """Processor time that it will take, minutes: each cell is started once and asked.

    What a process costs until it is warm is what this one cost; turns cost what a sample took.
    """
    schedule, total = benchmark.schedule, 0.0
    groups = list(_grouped(benchmark.cells))
    for spec in (*benchmark.cells, *[CONTROL] * len(groups)):
        before = _children_s()
        lane = Lane(spec.workload, spec.parameters, spec.env)
        try:
            lane.open()
            count, settle = turn_of(lane.typical_ns, schedule.turn_ns)
            calls = 2 * schedule.layouts * schedule.rounds * (count + settle)
            renewals = 0.0
            if lane.setup_ns <= QUICK_NS:
                renewals = (schedule.layouts - 1) * lane.setup_ns / 1e9
            lane.finish()
        except LaneError:
            calls, renewals = 0, 0.0
        lane.close()
        each = _children_s() - before + renewals + calls * lane.typical_ns / 1e9
        total += schedule.restarts * each
    return total / 60


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
        folder: Of the results; what is there stays.
        stop: Asked between rounds whether to end early.
        report: Told what happens.
    """
    session = uuid.uuid4().hex
    rows: list[Result] = []
    for group in _grouped(benchmark.cells):
        cells = Session((*group, CONTROL), benchmark.schedule, stop, report).run()
        *own, control = cells
        for cell in own:
            row = row_of(cell, control, session, folder / "samples")
            row = dataclasses.replace(row, cell=len(rows))
            append_line(folder / "results.jsonl", row)
            rows.append(row)
    return rows


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
    per_second = len(latencies) * 1e9 / max(sum(latencies), 1)
    work = last.work or {}
    return dataclasses.replace(
        last,
        latency_ns=figures,
        cold_first_s=sorted(colds)[len(colds) // 2] if colds else None,
        rate={
            "items_s": per_second * work.get("items", 0),
            "flop_s": per_second * work.get("flops", 0),
            "bytes_s": per_second * work.get("bytes", 0),
        },
        samples=_save(samples, cell, control, last.workload["name"]),
        method={
            **last.method,
            "session": session,
            "schedule": "closed loop, in turns with the other cells of the session",
            "restarts": len(cell.layouts),
            "layouts": [len(each) for each in cell.layouts.values()],
        },
    )


def _grouped(cells: Sequence[CellSpec]) -> Iterator[Sequence[CellSpec]]:
    for start in range(0, len(cells), _GROUP - 1):
        yield cells[start : start + _GROUP - 1]


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
