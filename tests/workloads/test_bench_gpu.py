"""The whole suite on a CUDA device, in one go; and the records that it has left so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.api.benching import prepare_bench
from flyback.errors import UserError
from flyback.spec.codec import decode
from flyback.spec.result import Result
from flyback.workloads.bench import bench
from flyback.workloads.registry import resolved
from flyback.workloads.roofline import SUSPECT

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "devices"
ENGINES = ("fused", "torch-graph", "cufft", "torch")
FRAME = {"nfft": 4096, "channels": 2, "mode": "streaming"}
SHARE_OF_PEAK = 0.9  # of the best product that the ceilings have found
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


def why_no_device() -> str:
    """One sentence; empty where there is one."""
    from flyback.workloads.device import open_device
    from flyback.workloads.spectral.cuda.driver import CudaDriver

    try:
        CudaDriver()
        open_device("cuda")
    except UserError as error:
        return error.what
    return ""


def kept() -> Iterator[dict[str, Any]]:
    """Rows of real devices, as they were committed."""
    for path in sorted(RECORDS.glob("*.jsonl")):
        yield from map(json.loads, path.read_text().splitlines())


@pytest.mark.bench
def test_bench_gpu(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every workload on the device; our engine is ahead of the others at p50 and at p99.

    Where there is no device the line says why, and nothing is kept.
    """
    reason = why_no_device()
    if reason:
        print(f"BENCH gpu records=0 reason={'-'.join(reason.split())}")
        return
    rows = [
        row
        for workload, words in SUITE
        for row in bench(prepare_bench(workload, words, restarts=1), tmp_path / "out")
    ]
    if request.config.getoption("record"):
        RECORDS.mkdir(parents=True, exist_ok=True)
        (device,) = {row.device["name"] for row in rows if row.device["kind"] == "cuda"}
        shutil.copy(
            tmp_path / "out" / "results.jsonl",
            RECORDS / f"{device.lower().replace(' ', '-')}.jsonl",
        )
    assert [row.reason for row in rows if row.status != "ok"] == []
    frames = {row.backend["name"]: row.latency_ns for row in rows if is_the_frame(row)}
    ours = frames.pop("fused")
    ratios = {
        share: min(other[share] / ours[share] for other in frames.values())
        for share in ("p50", "p99")
    }
    share = share_of_peak(rows)
    print(
        f"BENCH gpu records={len(rows)} ratio_p50={ratios['p50']:.2f} "
        f"ratio_p99={ratios['p99']:.2f} p99_over_p50={ours['p99'] / ours['p50']:.2f} "
        f"fused_us={ours['p50'] / 1000:.1f} bf16_share={share:.2f}"
    )
    assert min(ratios.values()) > 1
    assert ours["p99"] <= 2 * ours["p50"]
    assert share >= SHARE_OF_PEAK


def is_the_frame(row: Result) -> bool:
    """Whether it is the frame that all engines are compared by."""
    asked = {**FRAME, "device": "cuda", "wait": "spin"}
    return row.workload["name"] == "spectral" and asked.items() <= row.params.items()


def share_of_peak(rows: list[Result]) -> float:
    """The best bfloat16 product, of the device's ceiling."""
    shares = [
        row.rate["flop_s"] / row.roofline["ceilings"]["flop_s"]["bfloat16"]
        for row in rows
        if row.workload["name"] == "matmul" and row.dtype == "bfloat16" and row.roofline
        if row.rate is not None
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
    reason = "" if rows else f" reason={'-'.join((why_no_device() or 'none committed').split())}"
    print(f"PROOF gpu records={len(rows)}{reason}")
