"""The whole suite on a CUDA device, in one go; and the records that it has left so far."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flyback.api.benching import prepare_bench
from flyback.spec.codec import decode, write_atomic
from flyback.spec.result import Result
from flyback.workloads.bench import bench
from flyback.workloads.registry import resolved
from flyback.workloads.roofline import SUSPECT

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "devices"
ENGINES = ("fused", "torch-graph", "cufft", "torch")
FRAME = {"nfft": 4096, "channels": 2, "mode": "streaming"}
SHARE_OF_PEAK = 0.9  # of the best product that the ceilings have found
SPREAD_MOST = 2  # p99 in units of p50
SUITE: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The latency that published engines are compared by, and its p99.
    ("spectral", ("device=cuda", f"backend={','.join(ENGINES)}", "nfft=4096", "channels=2")),
    ("spectral", ("device=cuda", "backend=fused", "wait=yield,block", "nfft=4096", "channels=2")),
    # From where on a device is ahead of this machine's processor.
    *(
        ("spectral", (f"device={device}", "mode=batch", "nfft=1024,4096", "channels=1,16,128"))
        for device in ("cuda", "cpu")
    ),
    ("bandwidth", ("device=cuda", "operation=copy,triad,h2d,d2h,launch", "mib=256")),
    ("matmul", ("device=cuda", "n=1000,8192", "dtype=float32,tf32,bfloat16")),
    ("matmul", ("device=cpu", "n=1000")),
    ("image", ("device=cuda", "operation=blur,resize,conv", "size=2048", "batch=1,2")),
    ("transformer", ("device=cuda", "width=1024", "sequence=1024", "heads=16", "dtype=bfloat16")),
)


# In a process of its own: a context left in this one would hold memory beside the lanes'.
LOOK = """
import json
from flyback.errors import UserError
def ours():
    from flyback.workloads.spectral.cuda.driver import CudaDriver
    return CudaDriver()
def torchs():
    from flyback.workloads.device import open_device
    return open_device("cuda")
for look in (ours, torchs):
    try:
        print(json.dumps([look().describe()["name"], ""]))
    except UserError as error:
        print(json.dumps(["", error.what]))
"""


def look_for_device() -> tuple[str, str]:
    """Name of the device, by either way to it; where there is none, one sentence why."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, timeout=120
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    names = [name for name, _ in found if name]
    return (names[0], "") if names else ("", found[0][1])


def kept() -> Iterator[dict[str, Any]]:
    """Rows of real devices, as they were committed."""
    for path in sorted(RECORDS.glob("*.jsonl")):
        yield from map(json.loads, path.read_text().splitlines())


def measured(
    suite: Sequence[tuple[str, tuple[str, ...]]],
    out: Path,
    keep: Path | None,
    tell: Callable[[str], None],
) -> list[Result]:
    """Rows of all that could be measured; what is there is kept after each part, come what may."""
    rows: list[Result] = []
    began = time.monotonic()
    for number, (workload, words) in enumerate(suite, 1):
        try:
            rows += bench(prepare_bench(workload, words, restarts=1), out)
        finally:
            if keep is not None and (lines := out / "results.jsonl").exists():
                write_atomic(keep, lines.read_bytes())
        spent = time.monotonic() - began
        tell(f"{number}/{len(suite)} {workload} {' '.join(words)}: {len(rows)} rows, {spent:.0f} s")
    return rows


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_bench_gpu(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every workload on the device; our engine is ahead of the others at p50 and at p99.

    Where there is no device the line says why, and nothing is kept. A cell that fails has a row
    that says so, and the rest goes on.
    """
    device, reason = look_for_device()
    if reason:
        print(f"BENCH gpu records=0 reason={'-'.join(reason.split())}")
        return
    record = request.config.getoption("record")
    keep = record and record / "devices" / f"{'-'.join(device.lower().split())}.jsonl"
    began = time.monotonic()
    rows = measured(SUITE, tmp_path / "out", keep, lambda line: print(line, flush=True))
    failed = [f"{row.workload['name']}: {row.reason}" for row in rows if row.status != "ok"]
    figures = {"records": len(rows), "failed": len(failed), **compared(rows)}
    words = (f"{name}={value:.4g}" for name, value in figures.items())
    print(f"BENCH gpu {' '.join(words)} seconds={time.monotonic() - began:.0f}")
    assert failed == []
    assert min(figures.get(f"ratio_{share}", 0) for share in ("p50", "p99")) > 1
    assert figures.get("p99_over_p50", SPREAD_MOST + 1) <= SPREAD_MOST
    assert figures["bf16_share"] >= SHARE_OF_PEAK


def compared(rows: list[Result]) -> dict[str, float]:
    """Ours against the other engines, the least of each; what was not measured is left out."""
    found = {"bf16_share": share_of_peak(rows)}
    frames = {
        row.backend["name"]: row.latency_ns
        for row in rows
        if row.status == "ok" and row.backend and row.latency_ns and is_the_frame(row)
    }
    ours = frames.pop("fused", None)
    if ours is None:
        return found
    found["fused_us"] = ours["p50"] / 1000
    for share in ("p50", "p99"):
        others = [other[share] for other in frames.values() if other[share] and ours[share]]
        if others:
            found[f"ratio_{share}"] = min(others) / ours[share]
    if ours["p99"]:
        found["p99_over_p50"] = ours["p99"] / ours["p50"]
    return found


def is_the_frame(row: Result) -> bool:
    """Whether it is the frame that all engines are compared by."""
    asked = {**FRAME, "device": "cuda", "wait": "spin"}
    return row.workload["name"] == "spectral" and asked.items() <= row.params.items()


def share_of_peak(rows: list[Result]) -> float:
    """The best bfloat16 product, of the device's ceiling."""
    shares = [
        row.work["flops"]
        / row.latency_ns["p50"]
        * 1e9
        / row.roofline["ceilings"]["flop_s"]["bfloat16"]
        for row in rows
        if row.workload["name"] == "matmul" and row.dtype == "bfloat16" and row.roofline
        if row.work and row.latency_ns
    ]
    return max(shares, default=0.0)


@pytest.mark.proof
def test_proof_gpu() -> None:
    """Every record of a real device is a record: right, whole, possible, and of its machine.

    The suite's cells are valid wherever they run. Without records the line says why: what keeps
    this machine from making any.
    """
    for workload, words in SUITE:
        for cell in prepare_bench(workload, words, restarts=1).cells:
            resolved(workload, cell.parameters)
    rows = list(kept())
    for row in rows:
        result = decode(Result, row)
        assert result.status == "ok", result.reason
        assert result.accuracy is not None
        assert result.accuracy["passed"]
        assert result.fingerprint
        assert result.latency_ns is not None
        assert result.roofline is None or result.roofline["efficiency"] <= SUSPECT
    why = "" if rows else look_for_device()[1] or "none committed"
    reason = f" reason={'-'.join(why.split())}" if why else ""
    print(f"PROOF gpu records={len(rows)}{reason}")
