"""A checkpoint of 1 GiB: uploaded while it is saved, beside saved and then uploaded.

A process of its own saves it, with torch, as a job does beside an agent.
Over TLS, with 25 ms before each answer, 90 MB/s per connection, and a link as AWS sustains it:
2.5 Gbit/s (g5.xlarge, g6.xlarge, g6e.xlarge) and 5 Gbit/s (g4dn.xlarge and the next larger ones).
The server compares every part's checksum and keeps none: it runs on the same processors, and would
need more of them than the client.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from flyback.store.commit import Commit
from flyback.store.s3 import S3Store

HERE = Path(__file__).parent
SHARDS, SHARD_BYTES = 8, 128 << 20
ROUNDS = 5


@pytest.fixture(params=[2.5, 5.0])
def link_gbps(request: pytest.FixtureRequest) -> float:
    """What all connections share."""
    return float(request.param)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, certificates: Path, link_gbps: float) -> Iterator[str]:
    """A server at the end of that link."""
    command = [sys.executable, str(HERE / "s3_simulator.py"), "--latency", "0.025"]
    command += ["--forget-parts", "--rate", "90e6", "--link", str(link_gbps * 1e9 / 8)]
    command += ["--certificate", str(certificates / "cert.pem")]
    command += ["--key", str(certificates / "key.pem")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parents[1] / "src")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_CA_BUNDLE": str(certificates / "ca.pem"),
        }.items():
            monkeypatch.setenv(name, value)
        yield url
        server.stdin.close()


@pytest.fixture
def saver() -> Iterator[Saver]:
    """A job, as beside an agent: a process of its own."""
    command = [sys.executable, str(HERE / "checkpoint_job.py")]
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as job:
        assert job.stdin is not None
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        yield Saver(job.stdin, job.stdout)
        job.stdin.close()


@dataclass(frozen=True)
class Saver:
    """The job's two ends."""

    told: IO[str]
    tells: IO[str]

    def save(self, folder: Path) -> Iterator[Path]:
        """The files of a checkpoint, each as soon as it is complete."""
        print(folder, file=self.told, flush=True)
        for _ in range(SHARDS):
            yield folder / self.tells.readline().strip()


def one(store: S3Store, name: str, shards: Iterator[Path], *, overlapped: bool) -> float:
    """Seconds from the first byte saved until the manifest is there."""
    began = time.perf_counter()
    with Commit(store, name) as commit:
        for path in shards if overlapped else list(shards):
            commit.add(path.name, path)
    return time.perf_counter() - began


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_bench_checkpoint_overlap(
    address: str, saver: Saver, link_gbps: float, tmp_path: Path
) -> None:
    """Interleaved, in changing order; every shard flushed in both."""
    assert address
    store = S3Store("bucket")
    saving, found = [], {True: [], False: []}
    for number in range(ROUNDS):
        began = time.perf_counter()
        paths = list(saver.save(tmp_path))
        saving.append(time.perf_counter() - began)
        for overlapped in (True, False)[:: 1 if number % 2 else -1]:
            for path in paths:
                path.unlink()
            shards = saver.save(tmp_path)
            taken = one(store, f"c/{number}-{overlapped}", shards, overlapped=overlapped)
            found[overlapped].append(taken)
            print(f"  overlapped={overlapped} {taken:.2f} s", flush=True)
        for path in paths:
            path.unlink()
    size_gib = SHARD_BYTES * SHARDS / 2**30
    together, after = (statistics.median(found[kind]) for kind in (True, False))
    ratios = [late / early for late, early in zip(found[False], found[True], strict=True)]
    print(
        f"BENCH checkpoint-overlap link_gbps={link_gbps} ratio={statistics.median(ratios):.2f}"
        f" overlapped_s={together:.2f} after_s={after:.2f}"
        f" save_s={statistics.median(saving):.2f} gib={size_gib:.0f}"
    )
