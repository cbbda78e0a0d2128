"""One cell from parameters to its result line: gate, warm-up, timing, statistics, record."""

from __future__ import annotations

from typing import Any

from flyback.spec.result import Result
from flyback.workloads.cell import Cell, Setting
from flyback.workloads.declaration import Declaration
from flyback.workloads.parameters import Parameters
from flyback.workloads.record import complete, draft, given, refused
from flyback.workloads.workload import Journey, Workload

__all__ = ["Setting", "measure"]


def measure(
    declaration: Declaration, workload: Workload[Any], parameters: Parameters, setting: Setting
) -> Result:
    """Measure one cell.

    Nothing is timed unless every comparison of the gate passes; a result that fails it, before or
    after, has status `invalid` and no figures. Sampling ends when the median is known to 1 %, but
    not before the workload's fewest samples and not after four times as many.

    Raises:
        UserError: an input is missing or unusable.
        InterruptedRunError: SIGTERM came.
    """
    cell = Cell(declaration, workload, parameters, setting)
    try:
        prepared = cell.prepared
        result = draft(cell)
        backend = f"{prepared.backend['name']} {prepared.backend['version']}"
        setting.report(
            f"{declaration.name} {declaration.version}: {backend}, {prepared.dtype}, "
            f"{prepared.samples} samples"
        )
        if not cell.check():
            return refused(result, cell)
        journey = Journey(folder=setting.checkpoint_dir, stop=setting.stop, report=setting.report)
        whole = workload.whole(journey)
        if whole is not None:
            return given(result, cell, whole)
        cell.warm()
        cell.sample()
        if not cell.check_again():
            return refused(result, cell)
        return complete(result, cell)
    finally:
        workload.teardown()
