"""One attempt from launch.json to its marker: whatever happens, there is exactly one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flyback.store.memory import MemoryStore

Shell = Callable[[str], tuple[str, ...]]


def test_success_brings_everything_home(machine: Any, shell: Shell) -> None:
    """A job that works: SUCCESS twice, its JSON line as the row, log and events, machine off."""
    machine.launch(command=shell("echo working; echo warn >&2; echo '{\"answer\": 42}'"))
    assert machine.run() == 0
    assert (machine.marker().kind, machine.marker().reason) == ("SUCCESS", "ok")
    assert machine.attempt_marker() == machine.marker()
    (row,) = machine.rows()
    assert (row.run_id, row.cell, row.status, row.values) == ("run-1", 0, "ok", {"answer": 42})
    assert sorted(machine.text(machine.keys().log).splitlines()) == [
        "warn",
        "working",
        '{"answer": 42}',
    ]
    assert [event.kind for event in machine.events()] == [
        "agent-started",
        "prepared",
        "cell-started",
        "cell-finished",
        "uploaded",
        "finished",
    ]
    assert machine.names() == [
        "environment.json",
        "events.jsonl",
        "heartbeat.json",
        "log.txt",
        "marker.json",
        "results.jsonl",
    ]
    assert len(machine.switched_off) == 1


def test_the_markers_come_last(machine: Any, shell: Shell) -> None:
    """Who sees a marker finds everything else: attempt's marker, then the run's, then nothing."""
    machine.launch(command=shell("echo a > out.txt"), outputs=("*.txt",))
    machine.run()
    assert machine.store.written[-2:] == [machine.keys().marker, machine.paths.marker]
    assert machine.keys().output("out.txt") in machine.store.written


@pytest.mark.parametrize(
    ("script", "reason", "code"),
    [("exit 3", "exit", 3), ("kill -9 $$", "signal", -9), ("no-such-program-here", "exit", 127)],
)
def test_a_job_that_fails_is_a_failure_with_code_and_tail(
    machine: Any, shell: Shell, script: str, reason: str, code: int
) -> None:
    """Exit code or signal, and the last lines, are in the marker; the row says it too."""
    machine.launch(command=shell(f"echo the last words; {script}"))
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason, marker.exit_code) == ("FAILURE", reason, code)
    assert "the last words" in marker.log_tail
    assert [row.status for row in machine.rows()] == ["error"]
    assert machine.switched_off


def test_a_program_that_does_not_exist_is_told_in_the_log(machine: Any) -> None:
    """A command that can't be started ends as a shell would: 127, with its name in the log."""
    machine.launch(command=("no-such-program", "--now"))
    assert machine.run() == 1
    assert machine.marker().exit_code == 127
    assert "no-such-program: No such file" in machine.marker().log_tail


def test_a_failing_setup_step_never_starts_the_job(machine: Any, shell: Shell) -> None:
    """Reason `setup`, no exit code of the job, and a row that says why there is nothing."""
    machine.launch(setup=(shell("echo nope; exit 7"),), command=shell("echo started"))
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason, marker.exit_code) == ("FAILURE", "setup", None)
    assert "set-up command 1 ended with exit code 7" in marker.log_tail
    assert "started" not in marker.log_tail
    assert [(row.status, row.reason) for row in machine.rows()] == [("skipped", "setup")]


def test_a_corrupted_working_directory_is_never_unpacked(machine: Any, shell: Shell) -> None:
    """An archive with another hash than launch.json says ends the attempt in set-up."""
    launch = machine.launch(workdir={"a.txt": "a"}, command=shell("cat a.txt"))
    key = f"workdirs/{launch.workdir_sha256}.tar.gz"
    machine.store.put(key, machine.store.get(key) + b"\0")
    assert machine.run() == 1
    assert machine.marker().reason == "setup"
    assert f"not to {launch.workdir_sha256}" in machine.marker().log_tail
    assert not (machine.root / "run-1" / "1" / "work" / "a.txt").exists()


@pytest.mark.parametrize("content", [None, b"{}", b"no json"])
def test_without_its_launch_file_the_attempt_fails_in_setup(
    machine: Any, content: bytes | None
) -> None:
    """launch.json that is missing or none: FAILURE with reason `setup`, machine off."""
    if content is not None:
        machine.store.put(machine.paths.launch, content)
    assert machine.run() == 1
    assert machine.marker().reason == "setup"
    assert machine.switched_off


def test_an_error_of_the_agents_own_is_a_failure_too(
    machine: Any, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours ends with a marker that holds the traceback, and the machine goes off."""

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    machine.launch(command=shell("true"))
    monkeypatch.setattr("flyback.agent.attempt.prepare", broken)
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason) == ("FAILURE", "agent")
    assert "RuntimeError: a bug" in marker.log_tail
    assert machine.switched_off


def test_outputs_are_what_the_job_made(machine: Any, shell: Shell) -> None:
    """Matching files that came along unchanged stay; new, changed and put-aside ones come home."""
    machine.launch(
        workdir={"data/old.csv": "old", "data/changed.csv": "1"},
        command=shell(
            "echo new > data/new.csv; echo 22 > data/changed.csv;"
            'mkdir "$FLYBACK_OUTPUT_DIR/deep"; echo x > "$FLYBACK_OUTPUT_DIR/deep/x.bin"'
        ),
        outputs=("data/*.csv", "../*", "/etc/host*"),
    )
    assert machine.run() == 0
    assert machine.names("outputs/") == ["data/changed.csv", "data/new.csv", "deep/x.bin"]
    assert "'../*' leaves the workdir" in machine.text(machine.keys().log)


def test_inputs_from_elsewhere_are_fetched(machine: Any, shell: Shell) -> None:
    """An input at a URL is brought beside the job: one object, or all below a prefix."""
    data = MemoryStore.named("data-bucket")
    data.put("sea.wav", b"wave")
    data.put("set/a", b"1")
    data.put("set/sub/b", b"2")
    machine.launch(
        command=shell("cat in/sea.wav; cat many/a many/sub/b"),
        inputs=(
            _input("memory://data-bucket/sea.wav", "in/sea.wav"),
            _input("memory://data-bucket/set", "many"),
        ),
    )
    assert machine.run() == 0
    assert machine.text(machine.keys().log) == "wave12"


def test_a_missing_input_is_named(machine: Any, shell: Shell) -> None:
    """Nothing at the URL: set-up fails and the log names it."""
    machine.launch(command=shell("true"), inputs=(_input("memory://empty/no.wav", "no.wav"),))
    assert machine.run() == 1
    assert machine.marker().reason == "setup"
    assert "there is nothing at memory://empty/no.wav" in machine.marker().log_tail


def test_a_job_for_a_container_is_refused(machine: Any, shell: Shell) -> None:
    """A job that names an image does not silently run without it."""
    machine.launch(command=shell("echo started"), image="repo@sha256:0")
    assert machine.run() == 1
    assert machine.marker().reason == "setup"
    assert "not in a container" in machine.marker().log_tail


def test_the_contract_with_the_job(machine: Any, shell: Shell) -> None:
    """The job sees its variables and secrets; nothing of the agent's own path or clock name."""
    machine.environ |= {
        "PYTHONPATH": "/opt/flyback/bundle",
        "FLYBACK_CLOCK_PARTICIPANT": "i-1",
        "FROM_IMAGE": "kept",
    }
    machine.launch(
        command=shell(
            'echo "$FLYBACK_RUN_ID $FLYBACK_ATTEMPT $FLYBACK_CELL $FLYBACK_PARAMETERS";'
            'echo "$FROM_IMAGE $MINE $TOKEN [$PYTHONPATH] [$FLYBACK_CLOCK_PARTICIPANT]";'
            '[ -d "$FLYBACK_OUTPUT_DIR" ] && [ -d "$FLYBACK_CHECKPOINT_DIR" ] && [ -d "$TMPDIR" ]'
        ),
        parameters={"n": 1},
        env={"MINE": "mine"},
        secrets={"TOKEN": "ssm:/flyback/token"},
        checkpoint_dir="checkpoints",
    )
    assert machine.run(attempt=1) == 0
    assert machine.text(machine.keys().log).splitlines() == [
        'run-1 1 0 {"n":1}',
        "kept mine *** [] []",
    ]


def test_two_attempts_on_one_host_do_not_mix(machine: Any, shell: Shell) -> None:
    """What a former process left in the attempt's folder is neither seen nor uploaded."""
    stale = machine.root / "run-1" / "1"
    for name in ("work/stale.txt", "outputs/stale.txt", "samples/stale.npz"):
        path = stale / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from another life")
    machine.launch(command=shell("ls; echo b > own.txt"), outputs=("*.txt",))
    assert machine.run() == 0
    machine.run_id = "run-2"
    machine.launch(command=shell("ls; echo c > own.txt"), outputs=("*.txt",))
    assert machine.run() == 0
    for run_id in ("run-1", "run-2"):
        machine.run_id = run_id
        assert machine.names("outputs/") == ["own.txt"]
        assert machine.names("samples/") == []
        assert machine.text(machine.keys().log) == ""


def test_the_boot_log_is_the_head_of_the_log(machine: Any, shell: Shell) -> None:
    """What the user-data printed comes first, in the file and in the stream alike."""
    machine.root.mkdir()
    machine.boot_log = machine.root / "boot.log"
    machine.boot_log.write_text("booting\n")
    machine.launch(command=shell("echo job"), log_group="/flyback/runs")
    assert machine.run() == 0
    assert machine.text(machine.keys().log) == "booting\njob\n"
    assert machine.logs.streams["/flyback/runs", "ec2-run-1"] == ["booting", "job"]


def test_what_a_child_leaves_running_ends_with_it(machine: Any, shell: Shell) -> None:
    """A background process that holds the pipe open neither outlives the cell nor delays it."""
    machine.launch(command=shell("sleep 1000 & echo done"))
    assert machine.run() == 0
    assert machine.clock.time - 1_800_000_000 < 30


def test_environment_says_what_was_really_there(machine: Any, shell: Shell) -> None:
    """environment.json holds the machine's own answers: instance, CPU, Python and packages."""
    machine.metadata.answers = {"instance-type": "g4dn.xlarge", "instance-id": "i-1"}
    machine.launch(command=shell("true"))
    machine.run()
    found = json.loads(machine.text(machine.keys().environment))
    assert found["instance"]["instance_type"] == "g4dn.xlarge"
    assert found["instance"]["zone"] is None
    assert found["cpu"]["vcpus"] >= 1
    assert found["gpus"] == []
    assert found["packages"]["boto3"]


def _input(source: str, path: str) -> Any:
    from flyback.spec.job import Input

    return Input(source=source, path=path)
