"""A checkpoint of 1 GiB: uploaded while it is saved, beside saved and then uploaded."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyback.store.commit import Commit
from flyback.store.s3 import S3Store

HERE = Path(__file__).parent
SHARDS, SHARD_BYTES = 8, 128 << 20
REPEATS = 3


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with 25 ms before each answer and 90 MB/s per connection."""
    command = [sys.executable, str(HERE / "s3_simulator.py"), "--latency", "0.025"]
    command += ["--rate", "90e6"]
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
        }.items():
            monkeypatch.setenv(name, value)
        yield url
        server.stdin.close()


def save(path: Path, content: bytes) -> None:
    """A shard on the disk, flushed."""
    with path.open("wb") as file:
        for start in range(0, len(content), 1 << 18):
            file.write(content[start : start + (1 << 18)])
        file.flush()
        os.fsync(file.fileno())


def one(store: S3Store, folder: Path, name: str, content: bytes, *, overlapped: bool) -> float:
    """Seconds from the first byte saved until the manifest is there."""
    paths = [folder / f"shard-{number}" for number in range(SHARDS)]
    began = time.perf_counter()
    with Commit(store, name) as commit:
        for path in paths:
            save(path, content)
            if overlapped:
                commit.add(path.name, path)
        if not overlapped:
            for path in paths:
                commit.add(path.name, path)
    elapsed = time.perf_counter() - began
    for path in paths:
        store.delete(f"{name}/{path.name}")
        path.unlink()
    return elapsed


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_bench_checkpoint_overlap(address: str, tmp_path: Path) -> None:
    """Interleaved, in changing order; every shard flushed in both."""
    assert address
    store = S3Store("bucket")
    content = os.urandom(SHARD_BYTES)
    found: dict[bool, list[float]] = {True: [], False: []}
    for number in range(REPEATS):
        for overlapped in (True, False)[:: 1 if number % 2 else -1]:
            taken = one(store, tmp_path, f"c/{number}-{overlapped}", content, overlapped=overlapped)
            found[overlapped].append(taken)
            print(f"  overlapped={overlapped} {taken:.2f} s", flush=True)
    together, after = (statistics.median(found[kind]) for kind in (True, False))
    print(
        f"BENCH checkpoint-overlap ratio={after / together:.2f} overlapped_s={together:.2f}"
        f" after_s={after:.2f} gib={SHARDS * SHARD_BYTES / 2**30:.0f}"
    )
