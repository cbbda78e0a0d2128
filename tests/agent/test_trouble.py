"""Stores that fail, machines that are taken, jobs that do not end."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flyback.agent.deadline import margin_s
from flyback.agent.interruption import Interruption
from flyback.errors import AccessDeniedError, FlybackError
from flyback.spec.codec import dumps, read_json
from flyback.spec.event import Marker
from flyback.spec.job import Input, JobSpec
from flyback.spec.launch import Launch
from flyback.store.file import FileStore
from flyback.store.memory import MemoryStore

Shell = Callable[[str], tuple[str, ...]]
START = 1_800_000_000.0


def _failing(times: int, part: str) -> Callable[[str], bool]:
    """Fail the first `times` writes of keys that contain `part`."""
    left = [times]

    def fails(key: str) -> bool:
        if part in key and left[0]:
            left[0] -= 1
            return True
        return False

    return fails


@pytest.mark.parametrize("part", ["outputs/", "results.jsonl", "environment.json", "marker.json"])
def test_an_upload_that_fails_once_is_made_again(machine: Any, shell: Shell, part: str) -> None:
    """One failed write costs a retry, written down as an event; the run is a SUCCESS."""
    machine.launch(command=shell("echo a > a.txt"), outputs=("a.txt",))
    machine.store.fails = _failing(1, part)
    assert machine.run() == 0
    assert machine.marker().kind == "SUCCESS"
    retried = [event for event in machine.events() if event.kind == "upload-retried"]
    assert [part in event.detail["key"] for event in retried] == [True]
    assert machine.names("outputs/") == ["a.txt"]


def test_an_upload_that_fails_for_ever_is_a_failure(machine: Any, shell: Shell) -> None:
    """What could not be brought home is named in the marker; the rest is at home all the same."""
    machine.launch(command=shell("echo a > a.txt; echo b > b.csv"), outputs=("a.txt", "b.csv"))
    machine.store.fails = lambda key: key.endswith("a.txt")
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason, marker.exit_code) == ("FAILURE", "upload", 0)
    assert "could not be brought home: runs/run-1/attempts/1/outputs/a.txt" in marker.log_tail
    assert machine.names("outputs/") == ["b.csv"]


def test_a_store_that_takes_nothing_leaves_the_machine_off(machine: Any, shell: Shell) -> None:
    """Not even the marker can be written: exit 1, and the machine still goes off."""
    machine.launch(command=shell("true"))
    machine.store.fails = lambda _: True
    assert machine.run() == 1
    assert machine.switched_off
    assert machine.store.written == [machine.paths.launch]


def test_a_marker_that_the_guardian_wrote_stands(machine: Any, shell: Shell) -> None:
    """Whoever wrote the attempt's marker first is right; the run's is then not ours to write."""
    machine.launch(command=shell("true"))
    theirs = Marker(
        run_id="run-1",
        attempt=1,
        kind="FAILURE",
        exit_code=None,
        reason="lost",
        log_tail="",
        at=START,
    )
    machine.store.put(machine.keys().marker, dumps(theirs).encode())
    machine.run()
    assert machine.attempt_marker() == theirs
    assert machine.paths.marker not in machine.store.written


def test_a_marker_whose_answer_was_lost_is_known_as_ours(machine: Any, shell: Shell) -> None:
    """The write took effect and its answer did not arrive: the retry finds it, and goes on."""
    machine.launch(command=shell("true"))
    put = machine.store.put
    lost: list[str] = []

    def put_and_lose(key: str, data: bytes, *, if_absent: bool = False) -> None:
        put(key, data, if_absent=if_absent)
        if if_absent and key not in lost:
            lost.append(key)
            raise FlybackError("connection reset")

    machine.store.put = put_and_lose
    assert machine.run() == 0
    assert machine.attempt_marker() == machine.marker()
    assert lost == [machine.keys().marker, machine.paths.marker]


def test_a_sweep_goes_on_after_a_cell_that_fails(machine: Any, shell: Shell) -> None:
    """Each cell has its row and its own outputs; the first failing cell's code is the run's."""
    machine.launch(
        command=shell(
            'echo "$FLYBACK_PARAMETERS"; echo x > out.txt; cp out.txt "$FLYBACK_OUTPUT_DIR/y";'
            'case "$FLYBACK_CELL" in 1) exit 4;; 2) exit 5;; esac'
        ),
        parameters={"base": 1},
        sweep={"n": (10, 20, 30, 40)},
        outputs=("out.txt",),
    )
    assert machine.run() == 1
    assert (machine.marker().reason, machine.marker().exit_code) == ("exit", 4)
    assert [(row.cell, row.status, row.params["n"]) for row in machine.rows()] == [
        (0, "ok", 10),
        (1, "error", 20),
        (2, "error", 30),
        (3, "ok", 40),
    ]
    assert machine.names("outputs/") == [
        f"{cell:04d}/{name}" for cell in range(4) for name in ("out.txt", "y")
    ]


def test_the_deadline_ends_the_job_in_time_to_save(machine: Any, shell: Shell) -> None:
    """SIGTERM a margin before the deadline; what the job saves then comes home; FAILURE."""
    machine.clock.patience_s = 0.01
    machine.launch(
        command=shell("trap 'echo saved > save.txt; exit 0' TERM; while :; do sleep 0.01; done"),
        outputs=("save.txt",),
        max_hours=0.05,
        sweep={"n": (1, 2)},
    )
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason) == ("FAILURE", "deadline")
    assert START + 180 - margin_s(180) <= marker.at < START + 180
    assert machine.names("outputs/") == ["0000/save.txt"]
    assert [(row.status, row.reason) for row in machine.rows()] == [
        ("ok", ""),
        ("skipped", "deadline"),
    ]
    assert [e.detail["seconds_left"] for e in machine.events() if e.kind == "deadline"] == [45.0]


def test_a_job_that_ignores_sigterm_is_killed(machine: Any, shell: Shell) -> None:
    """After its grace a job that does not end is killed, still before the deadline."""
    machine.clock.patience_s = 0.01
    machine.launch(command=shell("trap '' TERM; while :; do sleep 0.01; done"), max_hours=0.05)
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.reason, marker.exit_code) == ("deadline", -9)
    assert marker.at < START + 180


def test_an_interruption_is_saved_and_waits_for_the_reclaim(
    machine: Any, shell: Shell, notice: str
) -> None:
    """INTERRUPTED, exit 75, no marker of the run; the machine is left for EC2 to take."""
    machine.metadata.answers = {"spot/instance-action": notice}
    machine.launch(command=shell("sleep 1000"), outputs=("*",))
    assert machine.run() == 75
    assert machine.attempt_marker().kind == "INTERRUPTED"
    assert machine.paths.marker not in machine.store.written
    assert machine.paths.results not in machine.store.written
    (told,) = [event for event in machine.events() if event.kind == "interruption-notice"]
    assert told.detail == json.loads(notice)
    assert machine.switched_off[0] - machine.attempt_marker().at >= 180


def test_a_rebalance_recommendation_saves_and_the_job_goes_on(machine: Any, shell: Shell) -> None:
    """No SIGTERM, no end: the checkpoint goes up, once, and the run is a SUCCESS."""
    machine.clock.patience_s = 0.01
    machine.metadata.answers = {"events/recommendations/rebalance": '{"noticeTime": "2027-01-15"}'}
    machine.launch(
        command=shell(
            "trap 'echo told > told.txt' TERM; step=$FLYBACK_CHECKPOINT_DIR/7; mkdir -p $step;"
            "echo weights > $step/shard; echo > $step/COMPLETE;"
            "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; echo done > done.txt"
        ),
        outputs=("*.txt",),
        max_hours=24.0,
    )
    assert machine.run() == 0
    assert machine.marker().kind == "SUCCESS"
    assert machine.names("outputs/") == ["done.txt"]
    kinds = [event.kind for event in machine.events()]
    assert kinds.count("rebalance") == 1
    assert "interruption-notice" not in kinds
    assert kinds.index("rebalance") < kinds.index("cell-finished")
    kept = [item.key for item in machine.store.list(f"{machine.paths.checkpoints}/")]
    assert f"{machine.paths.checkpoints}/7/shard" in kept


def test_a_rebalance_recommendation_is_heeded_once() -> None:
    """It stays up until the machine goes; a notice still ends the job after it."""
    saved: list[int] = []
    told: list[str] = []
    answers = {"events/recommendations/rebalance": "{}"}
    metadata, journal = SimpleNamespace(get=answers.get), SimpleNamespace(tell=told.append)
    watch = Interruption(metadata, journal, lambda: saved.append(1))  # type: ignore[arg-type]  # all that is used
    assert [watch.tick(now) for now in (0.0, 5.0, 10.0)] == [None, None, None]
    assert (len(saved), told, watch.noticed) == (1, ["rebalance"], False)
    journal.tell = lambda kind, **_: told.append(kind)
    answers["spot/instance-action"] = "{}"
    stop = watch.tick(15.0)
    assert stop is not None
    assert stop.reason == "interrupted"


def test_no_interruption_is_looked_for_off_ec2(machine: Any, shell: Shell, notice: str) -> None:
    """The local engine never asks an instance metadata service."""
    machine.metadata.answers = {"spot/instance-action": notice}
    machine.launch(command=shell("echo on"), engine="local")
    assert machine.run() == 0


def test_a_silent_job_is_ended_as_stalled(machine: Any, shell: Shell) -> None:
    """No output for `stall_minutes` ends the attempt as FAILURE(stalled) with its last lines."""
    machine.clock.patience_s = 0.005
    machine.launch(command=shell("echo last words; sleep 1000"), stall_minutes=2)
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason) == ("FAILURE", "stalled")
    assert "last words" in marker.log_tail
    assert 120 <= marker.at - START <= 180


def test_the_heart_beats_twice_a_minute_with_the_last_lines(machine: Any, shell: Shell) -> None:
    """While the job runs, heartbeat.json is fresh and says where it is."""
    machine.clock.patience_s = 0.01
    machine.launch(
        command=shell("echo here; trap 'exit 0' TERM; while :; do sleep 0.01; done"),
        max_hours=0.05,
    )
    beats: list[Any] = []
    put = machine.store.put

    def watched(key: str, data: bytes, *, if_absent: bool = False) -> None:
        put(key, data, if_absent=if_absent)
        if key == machine.keys().heartbeat:
            beats.append(json.loads(data))

    machine.store.put = watched
    machine.run()
    times = [beat["at"] - START for beat in beats]
    assert times[0] == 0
    assert all(30 <= b - a <= 31 for a, b in itertools.pairwise(times))
    assert (beats[2]["phase"], beats[2]["cell"], beats[2]["cells"]) == ("running", 0, 1)
    assert beats[2]["log_tail"] == "here"


def test_a_log_service_that_fails_for_a_while_loses_nothing(machine: Any, shell: Shell) -> None:
    """Lines that could not be sent are sent later; the job never notices."""
    machine.logs.failures = 3
    machine.launch(command=shell("echo a; echo; echo b"), log_group="group")
    assert machine.run() == 0
    assert machine.logs.streams["group", "ec2-run-1"] == ["a", " ", "b"]


def test_a_log_service_that_refuses_costs_no_result(
    machine: Any, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to write logs the run is still a SUCCESS, and log.txt is at home."""

    def refuse(*_: object) -> None:
        raise AccessDeniedError("no")

    monkeypatch.setattr(machine.logs, "create_stream", refuse)
    machine.launch(command=shell("echo a"), log_group="group")
    assert machine.run() == 0
    assert machine.text(machine.keys().log) == "a\n"


def test_sigterm_to_the_agent_is_an_interruption(tmp_path: Path) -> None:
    """The real process: SIGTERM reaches the job, the marker is INTERRUPTED, the exit code 75."""
    store = FileStore(tmp_path / "home")
    job = JobSpec(
        name="job",
        command=(
            "sh",
            "-c",
            "trap 'echo saved; exit 9' TERM; echo up; while :; do sleep 0.05; done",
        ),
    )
    launch = Launch(
        run_id="run-1",
        job=job,
        engine="local",
        region="",
        store=store.url,
        log_group="",
        image_id="",
        image_parameter="",
        bundle_sha256="",
        workdir_sha256=None,
        created_at=0,
        deadline=4e9,
    )
    store.put("runs/run-1/launch.json", dumps(launch).encode())
    command = [sys.executable, "-m", "flyback.agent", "--run-id", "run-1", "--store", store.url]
    command += ["--attempt", "1", "--root", str(tmp_path / "scratch"), "--no-power-off"]
    agent = subprocess.Popen(command)
    log = tmp_path / "scratch" / "run-1" / "1" / "log.txt"
    while agent.poll() is None and not (log.exists() and log.read_text()):
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(timeout=0.02)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=30) == 75
    folder = tmp_path / "home" / "runs" / "run-1"
    marker = read_json(Marker, folder / "attempts" / "1" / "marker.json")
    assert (marker.kind, marker.reason, marker.exit_code) == ("INTERRUPTED", "interrupted", 9)
    lines = (folder / "attempts" / "1" / "log.txt").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("up", "saved")
    assert not (folder / "marker.json").exists()


@pytest.mark.parametrize("what", ["workdir", "input", "checkpoint"])
def test_the_heart_beats_while_files_arrive(machine: Any, shell: Shell, what: str) -> None:
    """Inputs that take longer than a silence may last: the beats go on, and no stall is seen."""
    beaten, slow = threading.Event(), []
    parts = {"workdir": "workdirs/", "input": "sea.wav", "checkpoint": "checkpoints/"}

    def arrives(fetch: Callable[..., Any], key: str, *more: Any) -> Any:
        if parts[what] in key and not slow:
            slow.append(key)
            machine.clock.time += 700
            assert beaten.wait(20), "no beat in 700 s"
        return fetch(key, *more)

    def writes(key: str) -> bool:
        if slow and key.endswith("heartbeat.json"):
            beaten.set()
        return False

    data = MemoryStore.named("slow-bucket")
    data.put("sea.wav", b"wave")
    for store in (machine.store, data):
        for name in ("get", "get_file"):
            setattr(store, name, functools.partial(arrives, getattr(store, name)))
    machine.store.fails = writes
    inputs = (Input(source="memory://slow-bucket/sea.wav", path="sea.wav"),)
    command = shell("cat sea.wav a")
    machine.launch(command=command, inputs=inputs, workdir={"a": "b"}, stall_minutes=10.0)
    assert machine.run(attempt=2) == 0
    assert slow
    assert machine.text(machine.keys(2).log) == "waveb"


def test_a_notice_cuts_the_arrival_of_files_short(machine: Any, shell: Shell, notice: str) -> None:
    """Two minutes are not for inputs: the attempt ends as interrupted while they still arrive."""
    going, over = threading.Event(), threading.Event()
    data = MemoryStore.named("endless-bucket")
    data.put("sea.wav", b"wave")

    def arrives(key: str, path: Path) -> None:
        del key, path
        machine.clock.time += 6
        machine.metadata.answers = {"spot/instance-action": notice}
        going.set()
        over.wait(20)

    data.get_file = arrives  # type: ignore[method-assign]  # this one's alone
    inputs = (Input(source="memory://endless-bucket/sea.wav", path="sea.wav"),)
    machine.launch(command=shell("true"), inputs=inputs)
    try:
        assert machine.run() == 75
        assert not over.is_set()
    finally:
        over.set()
    assert going.is_set()
    assert machine.attempt_marker().kind == "INTERRUPTED"
    assert "cut short" in machine.attempt_marker().log_tail
