"""A process that measures one cell when it is told to: `python -m flyback.workloads.lane`.

One JSON document per line, a question on standard input and an answer on standard output. Between
two questions it waits for the next and uses no processor. What libraries print goes to standard
error.

    {"workload": NAME or module:Class, "parameters": {…}}   → {"typical_ns": …} or {"invalid": …}
    {"renew": SEED}                                         → {"renewed": true}
    {"turn": COUNT, "settle": COUNT}                        → {"samples": […]}
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
from flyback.workloads.cell import Cell, Setting
from flyback.workloads.device import SkippedError
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
        yield {"typical_ns": _typical(cell), "setup_ns": round(cell.cold["setup_s"] * 1e9)}
        for line in questions:
            question = json.loads(line)
            if "finish" in question:
                ok = cell.check_again()
                done = complete(result, cell) if ok else refused(result, cell)
                yield {"result": encode(done)}
                return
            if "renew" in question:
                cell.renew(registry.create(cell.declaration), question["renew"])
                yield {"renewed": True}
                continue
            before = len(cell.timing.latencies)
            cell.timing.block(cell.workload.run, question["turn"], question["settle"])
            yield {"samples": cell.timing.latencies[before:].tolist()}
    finally:
        cell.workload.teardown()


def _open(opening: dict[str, Any]) -> Cell:
    name = opening["workload"]
    declaration = registry.declared(name) if ":" in name else registry.find(name)
    parameters = resolve(declaration.parameters, opening["parameters"])
    return Cell(
        declaration,
        registry.create(declaration),
        parameters,
        Setting(started_ns=_STARTED_NS, report=_tell),
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
