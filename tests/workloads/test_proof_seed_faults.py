"""Each fault of the systems that came before, planted anew: none gets into a record."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flyback.errors import UserError
from flyback.results.compare import compare, open_results
from flyback.spec.jsonlines import append_line
from flyback.spec.result import Result
from flyback.workloads import registry
from flyback.workloads.parameters import ParameterError
from flyback.workloads.runner import Setting, measure
from flyback.workloads.spectral import workload as spectral
from flyback.workloads.spectral.framing import Framer
from flyback.workloads.stopping import Stop
from flyback.workloads.timing import Timing

Patch = pytest.MonkeyPatch
SMALL = {"nfft": 64, "channels": 2, "frames": 500, "warmup": 0, "backend": "numpy", "chunk": 64}


def run(**setting: Any) -> Result:
    """Measure the spectral workload: every call completes two frames."""
    declaration = registry.find("spectral")
    parameters = registry.resolved("spectral", SMALL)
    return measure(declaration, registry.create(declaration), parameters, Setting(**setting))


def slow_frame(_: Patch, __: Path) -> bool:
    """One call of 5 ms among 100 of 1 us, on schedule: it and those behind it are late."""
    clock = {"ns": 0}
    costs = itertools.chain(itertools.repeat(1000, 50), [5_000_000], itertools.repeat(1000))

    def call() -> Iterator[int]:
        clock["ns"] += next(costs)
        yield 1

    def timer() -> int:
        clock["ns"] += 100
        return clock["ns"]

    timing = Timing(timer, Stop())
    timing.paced(call, 100, 10_000)
    late = sum(latency > 1_000_000 for latency in timing.latencies)
    return len(timing.latencies) >= 100 and late > 1 and timing.backlog_max > 1


def dropped_frame(patch: Patch, _: Path) -> bool:
    """Only the last frame of a call is given out."""
    push = Framer.push

    def last(self: Framer, chunk: Any) -> Iterator[Any]:
        frames = [frame.copy() for frame in push(self, chunk)]
        yield from frames[-1:]

    patch.setattr(Framer, "push", last)
    return run().status == "invalid"


def not_a_number(patch: Patch, _: Path) -> bool:
    """One bin of one frame."""
    patch.setattr(spectral, "stream_spectra", changed(lambda s: np.where(s == s.max(), np.nan, s)))
    return run().status == "invalid"


def changed(change: Callable[[Any], Any]) -> Callable[..., Iterator[Any]]:
    """The stream of spectra with something done to each."""
    original = spectral.stream_spectra

    def stream(*words: Any) -> Iterator[Any]:
        for found in original(*words):
            yield change(found)

    return stream


def wrong_order(patch: Patch, _: Path) -> bool:
    """The frames of a call come in reverse."""
    original = spectral.stream_spectra
    patch.setattr(
        spectral, "stream_spectra", lambda *words: reversed([x.copy() for x in original(*words)])
    )
    return run().status == "invalid"


def reused_memory(patch: Patch, _: Path) -> bool:
    """A result that the next call overwrites."""
    kept: dict[Any, Any] = {}

    def into(found: Any) -> Any:
        buffer = kept.setdefault((found.shape, found.dtype), np.empty_like(found))
        buffer[...] = found
        return buffer

    patch.setattr(spectral, "stream_spectra", changed(into))
    return run().status == "invalid"


def trimmed_percentile(_: Patch, folder: Path) -> bool:
    """A p99 of the samples within three standard deviations."""
    row = run(samples_dir=folder / "samples")
    assert row.latency_ns is not None
    forged = dataclasses.replace(row, latency_ns={**row.latency_ns, "p99": row.latency_ns["p95"]})
    return is_refused(folder, [forged])


def other_rows_value(_: Patch, folder: Path) -> bool:
    """The second row has the figures of the first."""
    rows = [run(samples_dir=folder / "samples") for _ in range(2)]
    forged = dataclasses.replace(rows[1], latency_ns=rows[0].latency_ns, cell=1, params={"n": 2})
    return is_refused(folder, [rows[0], forged])


def is_refused(folder: Path, rows: list[Result]) -> bool:
    """Whether nobody compares with these rows."""
    for row in rows:
        append_line(folder / "results.jsonl", row)
    try:
        found = open_results(folder)
        compare(found, found)
    except UserError:
        return True
    return False


def first_call_cost(patch: Patch, _: Path) -> bool:
    """The first transform takes 50 ms more: in `cold_first_s`, and in no latency."""
    calls = itertools.count()
    clock = {"ns": 0}

    def costly(found: Any) -> Any:
        clock["ns"] += 50_000_000 if next(calls) == 0 else 1000
        return found

    patch.setattr(spectral, "stream_spectra", changed(costly))
    row = run(timer=lambda: clock["ns"])
    assert row.latency_ns is not None
    return row.latency_ns["max"] < 1_000_000 and (row.cold_first_s or 0) > 0


def even_kernel(_: Patch, __: Path) -> bool:
    """A blur of 14 x 14, which has no centre."""
    try:
        registry.check_parameters("image", {"k": 14})
    except ParameterError:
        return True
    return False


FAULTS = (
    slow_frame, dropped_frame, not_a_number, wrong_order, reused_memory, trimmed_percentile,
    first_call_cost, even_kernel, other_rows_value,
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(
    fault: Callable[[Patch, Path], bool], monkeypatch: Patch, tmp_path: Path
) -> None:
    """Each by itself."""
    assert fault(monkeypatch, tmp_path)


def test_without_a_fault_nothing_is_caught(tmp_path: Path) -> None:
    """The same run, clean: a record, and one that can be compared."""
    assert run().status == "ok"
    assert not is_refused(tmp_path, [run(samples_dir=tmp_path / "samples")])


@pytest.mark.proof
def test_proof_seed_faults(tmp_path: Path) -> None:
    """All of them."""
    caught = 0
    for number, fault in enumerate(FAULTS):
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path / str(number)
            folder.mkdir()
            caught += fault(patch, folder)
    print(f"PROOF seed-faults planted={len(FAULTS)} caught={caught}")
    assert caught == len(FAULTS)
