"""A machine for one attempt: stores, clock, log service and power switch are in this process."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flyback.agent.main import run
from flyback.agent.metadata import Metadata
from flyback.agent.options import Options
from flyback.agent.services import Services
from flyback.errors import ServiceError
from flyback.spec.codec import dumps, loads
from flyback.spec.event import Event, Marker
from flyback.spec.job import JobSpec
from flyback.spec.launch import Launch
from flyback.spec.paths import AttemptPaths, RunPaths, workdir_key
from flyback.spec.result import Result
from flyback.store.memory import MemoryStore

START = 1_800_000_000.0


class StepClock:
    """Time that goes on only when it is waited for; a child that runs long gets it in steps.

    Args:
        patience_s: Real seconds that a child is given within one step.
    """

    def __init__(self, patience_s: float = 0.5) -> None:
        self.time = START
        self.patience_s = patience_s
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        try:
            process.wait(timeout=self.patience_s)
        except subprocess.TimeoutExpired:
            self.time += seconds
            return False
        return True

    def signalled(self, process: subprocess.Popen[bytes]) -> None:
        """The system has told it."""


class TroubledStore(MemoryStore):
    """A store in memory that fails as it is told, and remembers the order of writes."""

    def __init__(self) -> None:
        super().__init__("troubled")
        self.fails: Callable[[str], bool] = lambda _: False
        self.written: list[str] = []

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if self.fails(key):
            raise ServiceError("InternalError: try again", where=key, code="InternalError")
        super().put(key, data, if_absent=if_absent)
        self.written.append(key)

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())


@dataclass
class CloudLogs:
    """CloudWatch Logs that takes every line, or fails for a while."""

    streams: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    failures: int = 0

    def create_stream(self, group: str, stream: str) -> None:
        self.streams.setdefault((group, stream), [])

    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceError("throttled")
        self.streams[group, stream] += [text for _, text in events]


class SilentMetadata(Metadata):
    """A metadata service that answers what it was given."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers = dict(answers)

    def get(self, path: str) -> str | None:
        return self.answers.get(path)


@dataclass
class Machine:
    """Runs attempts and reads what they brought home."""

    root: Path
    store: TroubledStore = field(default_factory=TroubledStore)
    clock: StepClock = field(default_factory=StepClock)
    logs: CloudLogs = field(default_factory=CloudLogs)
    metadata: SilentMetadata = field(default_factory=lambda: SilentMetadata({}))
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin:/bin"})
    switched_off: list[float] = field(default_factory=list)
    run_id: str = "run-1"
    boot_log: Path | None = None
    secret: Callable[[str], str] = "value of {}".format
    listen: Callable[[Callable[[], None]], None] | None = None

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.run_id)

    def keys(self, attempt: int = 1) -> AttemptPaths:
        return self.paths.attempt(attempt)

    def launch(self, *, workdir: Mapping[str, str] | None = None, **job: Any) -> Launch:
        """Store the run's launch.json, and its working directory where it has one."""
        about = {
            name: job.pop(name)
            for name in ("engine", "log_group", "workdir_sha256", "network_gbps")
            if name in job
        }
        hours = job.get("max_hours", 1.0)
        sha256 = about.get("workdir_sha256")
        if workdir is not None:
            data = packed(workdir)
            sha256 = hashlib.sha256(data).hexdigest()
            self.store.put(workdir_key(sha256), data)
        launch = Launch(
            run_id=self.run_id,
            job=JobSpec(name="job", **job),
            engine=about.get("engine", "ec2"),
            region="eu-west-1",
            store=self.store.url,
            log_group=about.get("log_group", ""),
            image_id="ami-1",
            image_parameter="",
            bundle_sha256="",
            workdir_sha256=sha256,
            created_at=START,
            deadline=START + hours * 3600,
            network_gbps=about.get("network_gbps", {}),
        )
        self.store.put(self.paths.launch, dumps(launch).encode())
        return launch

    def run(self, attempt: int = 1) -> int:
        """Run an attempt to its end; the agent's exit code."""
        options = Options(
            run_id=self.run_id,
            store=self.store.url,
            attempt=attempt,
            root=self.root,
            boot_log=self.boot_log,
        )
        services = Services(
            store=self.store,
            open_store=lambda url: MemoryStore.named(url.removeprefix("memory://")),
            logs=lambda: self.logs,
            secret=self.secret,
            power_off=lambda: self.switched_off.append(self.clock.now()),
            metadata=self.metadata,
            environ=self.environ,
        )
        return run(options, services, self.clock, listen=self.listen)

    def text(self, key: str) -> str:
        return self.store.get(key).decode()

    def marker(self) -> Marker:
        """The run's terminal marker."""
        return loads(Marker, self.store.get(self.paths.marker))

    def attempt_marker(self, attempt: int = 1) -> Marker:
        return loads(Marker, self.store.get(self.keys(attempt).marker))

    def rows(self) -> list[Result]:
        """The run's results."""
        return [loads(Result, line) for line in self.text(self.paths.results).splitlines()]

    def events(self) -> list[Event]:
        lines = self.text(self.keys().events).splitlines()
        return [loads(Event, line) for line in lines]

    def names(self, prefix: str = "") -> list[str]:
        """Keys under the first attempt's prefix, without it."""
        start = f"{self.keys().prefix}/{prefix}"
        return [item.key.removeprefix(start) for item in self.store.list(start)]


def packed(files: Mapping[str, str]) -> bytes:
    """A working directory's archive."""
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as compressed, tarfile.open(fileobj=compressed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with an empty disk."""
    return Machine(tmp_path / "disk")


@pytest.fixture
def shell() -> Callable[[str], tuple[str, ...]]:
    """A job's command that is a line of shell."""
    return lambda text: ("sh", "-c", text)


@pytest.fixture
def notice() -> str:
    """What IMDS answers once EC2 takes the machine back."""
    return json.dumps({"action": "terminate", "time": "2027-01-15T08:02:00Z"})
