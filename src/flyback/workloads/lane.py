"""A process that measures one cell when it is told to: `python -m flyback.workloads.lane`.

One JSON document per line, a question on standard input and an answer on standard output. Between
two questions it waits for the next and uses no processor. What libraries print goes to standard
error.

    {"workload": NAME or module:Class, "parameters": {…}}   → {"typical_ns": …} or {"failed": …}
    {"renew": SEED}                                         → {"setup_ns": …}
    {"turn": COUNT, "settle": COUNT}                        → {"samples": […]}
    {"used": true}                                          → {"cpu_ns": …}
    {"finish": true}                                        → {"result": {…}}
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from flyback.errors import FlybackError
from flyback.spec.codec import encode
from flyback.workloads import registry
from flyback.workloads.ceilings import of_this_boot
from flyback.workloads.cell import Cell, Setting
from flyback.workloads.cuda_faults import SkippedError
from flyback.workloads.nvml import monitor
from flyback.workloads.parameters import resolve
from flyback.workloads.record import complete, draft, refused

__all__ = ["answers", "main"]

_STARTED_NS = time.perf_counter_ns()


def main() -> int:
    """Answer until standard input ends."""
    answer_to = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for answer in answers(sys.stdin):
        answer_to.write(json.dumps(answer, separators=(",", ":")) + "\n")
        answer_to.flush()
    return 0


def answers(questions: TextIO | Iterator[str]) -> Iterator[dict[str, Any]]:
    """One answer for each question; the first opens the cell."""
    questions = iter(questions)
    opening = json.loads(next(questions, "null"))
    if opening is None:
        return
    try:
        cell = _open(opening)
    except FlybackError as error:
        status = "skipped" if isinstance(error, SkippedError) else "error"
        yield {"failed": str(error), "status": status}
        return
    result = draft(cell)
    try:
        if not cell.check():
            yield {"result": encode(refused(result, cell))}
            return
        cell.warm()
        gc.collect()
        gc.freeze()  # so that the collection before each turn has nothing to search
        period_ns = cell.prepared.period_ns
        yield {
            "typical_ns": period_ns or _typical(cell),
            "setup_ns": round(cell.cold["setup_s"] * 1e9),
            "paced": period_ns is not None,
        }
        for line in questions:
            question = json.loads(line)
            if "finish" in question:
                ok = cell.check_again()
                done = complete(result, cell) if ok else refused(result, cell)
                yield {"result": encode(done)}
                return
            yield _answer(cell, question)
    finally:
        cell.workload.teardown()


def _answer(cell: Cell, question: dict[str, Any]) -> dict[str, Any]:
    if "used" in question:
        return {"cpu_ns": time.process_time_ns()}
    if "renew" in question:
        began = time.perf_counter_ns()
        cell.renew(registry.create(cell.declaration), question["renew"])
        return {"setup_ns": time.perf_counter_ns() - began}
    before = len(cell.timing.latencies)
    if cell.prepared.period_ns is not None:
        cell.timing.paced(cell.workload.run, before + question["turn"], cell.prepared.period_ns)
    else:
        # A device goes from process to process too: the first call after another's pays for that.
        settle = max(question["settle"], int(cell.on_device))
        cell.timing.block(cell.workload.run, question["turn"], settle)
    return {"samples": cell.timing.latencies[before:].tolist()}


def _open(opening: dict[str, Any]) -> Cell:
    declaration = registry.find(opening["workload"])
    parameters = resolve(declaration.parameters, opening["parameters"])
    return Cell(
        declaration,
        registry.create(declaration),
        parameters,
        Setting(started_ns=_STARTED_NS, report=_tell, ceilings=of_this_boot, monitor=monitor),
    )


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _typical(cell: Cell) -> int:
    """Nanoseconds of one sample, roughly: the middle of five."""
    spans = []
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(cell.timing.inner):
            for _ in cell.workload.run():
                pass
        spans.append(time.perf_counter_ns() - start)
    return sorted(spans)[2]


if __name__ == "__main__":
    sys.exit(main())
