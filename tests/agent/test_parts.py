"""Rows, uploads, locked requirements, archives and the command line."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.agent import requirements
from flyback.agent.archive import unpack
from flyback.agent.child import Ended
from flyback.agent.deadline import margin_s
from flyback.agent.options import parse
from flyback.agent.results import Rows
from flyback.agent.uploads import Uploads
from flyback.errors import ServiceError, UserError
from flyback.spec.codec import dumps
from flyback.spec.job import JobSpec
from flyback.spec.result import Result
from flyback.store.memory import MemoryStore
from flyback.store.protocol import Sent

COMMAND = Rows("run-1", JobSpec(name="job", command=("true",)))
WORKLOAD = Rows("run-1", JobSpec(name="job", workload="spectral"))
AT = 1_800_000_000.25


def _ended(line: str, code: int = 0) -> Ended:
    return Ended(exit_code=code, last_line=line)


def test_a_workloads_result_is_kept_and_signed() -> None:
    """The workload's row, with run id, cell and time filled in and nothing else touched."""
    reported = Result(status="ok", workload={"name": "spectral"}, latency_ns={"p50": 5})
    row = WORKLOAD.ended(2, {}, _ended(dumps(reported)), AT)
    assert (row.run_id, row.cell, row.ts_utc) == ("run-1", 2, "2027-01-15T08:00:00.250+00:00")
    assert row.latency_ns == {"p50": 5}


def test_a_failed_gate_keeps_its_row() -> None:
    """A workload that says why it is invalid is quoted, not overwritten by its exit code."""
    reported = Result(status="invalid", reason="60 dB", workload={"name": "spectral"})
    row = WORKLOAD.ended(0, {}, _ended(dumps(reported), 1), AT)
    assert (row.status, row.reason) == ("invalid", "60 dB")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "the last line is no JSON object"),
        ("[1]", "the last line is no JSON object"),
        ('{"nonsense": 1}', "the last line is no result: Result: unknown field 'nonsense'"),
    ],
)
def test_a_workload_without_a_result_is_an_error(line: str, reason: str) -> None:
    """Exit code 0 and no result: the row says what was wrong with the last line."""
    row = WORKLOAD.ended(0, {}, _ended(line), AT)
    assert (row.status, row.reason) == ("error", reason)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ('{"loss": 0.5}', {"loss": 0.5}),
        ('{"loss": NaN, "n": [Infinity]}', {"loss": None, "n": [None]}),
        ("done", None),
    ],
)
def test_a_command_may_report_anything(line: str, values: Any) -> None:
    """A JSON object on the last line becomes the row's values; NaN is null; text is nothing."""
    row = COMMAND.ended(0, {"n": 1}, _ended(line), AT)
    assert (row.status, row.values, row.params) == ("ok", values, {"n": 1})
    assert json.loads(dumps(row))["values"] == values


@given(st.text())
def test_any_last_line_gives_a_row(line: str) -> None:
    """Whatever a command prints last, the row can be written down."""
    assert json.loads(dumps(COMMAND.ended(0, {}, _ended(line), AT)))["status"] == "ok"


def test_the_shipped_lock_names_what_the_workloads_import() -> None:
    """All six distributions are found in the lock, and each is on this machine's Python."""
    lock = requirements.shipped().read_text()
    assert requirements.names(lock) == (
        "cffi",
        "numpy",
        "pycparser",
        "scipy",
        "soundfile",
        "typing-extensions",
    )
    assert requirements.missing(lock, {}) == ()


def test_names_of_all_shapes_are_read() -> None:
    """Extras, markers and urls do not hide a name; options and comments are none."""
    lock = """
--index-url https://example.org
# a comment
plain
one[extra,b]==1.0 ; python_version > "3" \\
    --hash=sha256:00
Two_Three.4 @ https://example.org/two.whl
"""
    assert requirements.names(lock) == ("plain", "one", "Two_Three.4")


def test_what_only_the_agent_sees_is_missing() -> None:
    """A package from the agent's own PYTHONPATH is not on the image: the job can't import it."""
    import boto3

    place = str(Path(boto3.__file__).parents[1])
    assert requirements.missing("boto3\n", {}) == ()
    assert requirements.missing("boto3\n", {"PYTHONPATH": place}) == ("boto3",)


def test_a_locked_requirement_is_installed_for_the_job(machine: Any) -> None:
    """What the image lacks is installed by its hash, and the job imports it."""
    name = "flyback_test_dependency"
    wheel, text = _wheel(name)
    folder = machine.root / "wheels"
    folder.mkdir(parents=True)
    (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(wheel)
    digest = hashlib.sha256(wheel).hexdigest()
    lock = f"--no-index\n--find-links {folder}\n{name}==1.0 --hash=sha256:{digest}\n"
    machine.launch(
        workdir={"lock.txt": lock},
        requirements="lock.txt",
        command=(sys.executable, "-c", f"import {name}; print({name}.TEXT)"),
    )
    machine.clock.patience_s = 30
    assert machine.run() == 0, machine.text(machine.keys().log)
    assert machine.text(machine.keys().log).splitlines()[-1] == text


def test_a_lock_with_another_hash_is_refused(machine: Any) -> None:
    """A wheel that is not the one that was locked is never installed: set-up fails."""
    name = "flyback_test_dependency"
    folder = machine.root / "wheels"
    folder.mkdir(parents=True)
    (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(_wheel(name)[0])
    lock = f"--no-index\n--find-links {folder}\n{name}==1.0 --hash=sha256:{'0' * 64}\n"
    machine.launch(workdir={"lock.txt": lock}, requirements="lock.txt", command=("echo", "started"))
    machine.clock.patience_s = 30
    assert machine.run() == 1
    assert machine.marker().reason == "setup"
    assert "installing the locked requirements ended with" in machine.marker().log_tail


def test_here_a_workloads_packages_are_the_owners_to_install(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the local engine nothing is installed behind one's back; the remedy is told."""
    monkeypatch.setattr(requirements, "missing", lambda *_: ("numpy",))
    machine.launch(workload="spectral", engine="local")
    assert machine.run() == 1
    assert "pip install 'flyback[bench]'" in machine.marker().log_tail


def test_an_archive_stays_in_its_folder(tmp_path: Path) -> None:
    """A path that leaves the folder is refused, whatever the hash says."""
    archive = tmp_path / "bad.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside.txt"), io.BytesIO())
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(UserError, match="outside the destination"):
        unpack(archive, sha256, tmp_path / "work")
    with pytest.raises(ServiceError, match="not to"):
        unpack(archive, "0" * 64, tmp_path / "work")


@given(st.floats(min_value=0, max_value=1e7))
def test_the_margin_leaves_most_of_the_lease(lease_s: float) -> None:
    """Never more than three minutes, never more than a quarter of what was paid for."""
    assert 0 <= margin_s(lease_s) <= min(180, lease_s / 4)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The words that user-data and the local engine write, and help for whoever looks."""
    options = parse(
        ["--run-id", "r", "--store", "s3://b", "--attempt", "2", "--root", str(tmp_path)]
    )
    assert (options.run_id, options.store, options.attempt) == ("r", "s3://b", 2)
    assert options.power_off
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"])
    assert "--no-power-off" in capsys.readouterr().out


def _wheel(name: str) -> tuple[bytes, str]:
    """A wheel by hand: one module with a text in it."""
    text = "imported from a locked requirement"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"TEXT = {text!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue(), text


class MeetingStore(MemoryStore):
    """A store that takes files only when four come at once; the third of them fails once."""

    def __init__(self) -> None:
        super().__init__()
        self.met = threading.Barrier(4)
        self.failed: list[str] = []

    def put_file(self, key: str, path: Path) -> Sent:
        if not self.failed:
            self.met.wait(timeout=30)
        if key.endswith("2") and not self.failed:
            self.failed.append(key)
            raise ServiceError("SlowDown: reduce your request rate", code="SlowDown")
        return super().put_file(key, path)


def test_outputs_travel_several_at_once(tmp_path: Path) -> None:
    """One after the other, a thousand small files would cost a thousand times the latency."""
    told: list[str] = []
    journal = SimpleNamespace(tell=lambda kind, **_: told.append(kind))
    store, clock = MeetingStore(), SimpleNamespace(sleep=lambda _: None)
    uploads = Uploads(store, clock, journal, lambda: None)
    paths = [tmp_path / f"{number}" for number in range(4)]
    for path in paths:
        path.write_bytes(b"data")
    uploads.files((f"outputs/{path.name}", path) for path in paths)
    assert uploads.failed == []
    assert uploads.bytes == 16
    assert sorted(item.key for item in store.list()) == [f"outputs/{n}" for n in range(4)]
    assert told == ["upload-retried"]
