"""Whatever fails on the machine, there is one marker that says so, and the machine is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, start
from flyback.api.wiring import Cloud
from flyback.aws.ec2 import GONE
from flyback.launch.deployment import find
from flyback.launch.progress import silent
from flyback.spec.codec import read_json
from flyback.spec.event import Marker
from flyback.spec.paths import bundle_key

OPTIONS = Options(cloud="rehearsal")


def _job(folder: Path, **fields: object) -> Path:
    """A job file that runs a shell script of its own."""
    path = folder / "job.json"
    path.write_text(json.dumps({"name": "failing", "workdir": "work", **fields}))
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a job's files; the scripts are in `work/`."""
    (tmp_path / "work").mkdir()
    return tmp_path


def _run(cloud: Cloud, job: Path) -> Run:
    return start(prepare(job), cloud, OPTIONS, silent)


def _assert_gone(cloud: Cloud, run: Run) -> None:
    """The machine is terminated, and the certificate of the run is clean."""
    for attempt in run.launch.attempts:
        instance = cloud.session.ec2.instance(attempt.instance_id or "")
        assert instance is None or instance.state in GONE
    certificate = run.certificate()
    assert certificate is not None
    assert certificate.clean, certificate


def _markers(run: Run) -> list[Marker]:
    """The terminal marker and the attempt's, as they lie on disk."""
    return [
        read_json(Marker, run.folder / name) for name in ("marker.json", "attempts/1/marker.json")
    ]


def test_a_failing_job_is_a_failure_with_its_code_and_last_lines(
    deployed: Cloud, work: Path
) -> None:
    """Exit code 3 of the command is in the marker, with the log's tail."""
    (work / "work" / "job.sh").write_text("echo one\necho the end is near >&2\nexit 3\n")
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    marker = run.wait()
    assert (marker.kind, marker.reason, marker.exit_code) == ("FAILURE", "exit", 3)
    assert "the end is near" in marker.log_tail
    assert _markers(run) == [marker, marker]
    _assert_gone(deployed, run)


def test_a_killed_workload_is_a_failure_by_signal(deployed: Cloud, work: Path) -> None:
    """SIGKILL of the workload (an out-of-memory killer, say) leaves marker and log."""
    (work / "work" / "job.sh").write_text("echo alive\nkill -9 $$\n")
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    marker = run.wait()
    assert (marker.kind, marker.reason, marker.exit_code) == ("FAILURE", "signal", -9)
    assert "alive" in marker.log_tail
    _assert_gone(deployed, run)


def test_a_failing_setup_never_starts_the_job(deployed: Cloud, work: Path) -> None:
    """A setup command that fails ends the attempt with reason `setup`."""
    (work / "work" / "job.sh").write_text("echo started\n")
    run = _run(
        deployed, _job(work, command=["sh", "job.sh"], setup=[["sh", "-c", "echo no; exit 7"]])
    )
    marker = run.wait()
    assert (marker.kind, marker.reason) == ("FAILURE", "setup")
    assert "started" not in marker.log_tail
    _assert_gone(deployed, run)


def test_a_corrupt_bundle_is_never_run(deployed: Cloud, work: Path) -> None:
    """A bundle that is not what its hash says: marker with reason `bundle`, machine gone."""
    from flyback.api.wiring import local_home
    from flyback.infra.bundle import build

    (work / "work" / "job.sh").write_text("echo started\n")
    bundle = build(local_home() / "bundles")
    deployed.emulated.clients("s3", "us-east-1").put_object(
        Bucket=find(deployed.session, "flyback").bucket,
        Key=bundle_key(bundle.sha256),
        Body=b"not the agent",
    )
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    marker = run.wait()
    assert (marker.kind, marker.reason) == ("FAILURE", "bundle")
    _assert_gone(deployed, run)


def test_an_upload_that_fails_once_is_made_again(deployed: Cloud, work: Path) -> None:
    """A single failed PutObject costs nothing but a retry: the run succeeds, results and all."""
    from flyback.rehearsal.middleware.faults import Fault

    assert deployed.emulated is not None
    (work / "work" / "job.sh").write_text("echo hello\necho '{\"answer\": 42}'\n")
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    deployed.emulated.faults.add(
        Fault(service="s3", operation="PutObject", calls=(1,), code="InternalError", status=500)
    )
    marker = run.wait()
    assert marker.kind == "SUCCESS", marker
    assert [result.values for result in run.results()] == [{"answer": 42}]
    assert deployed.emulated.faults.hits
    _assert_gone(deployed, run)


def test_two_runs_do_not_mix(deployed: Cloud, work: Path) -> None:
    """A second run's prefix holds only its own files, though the account is the same."""
    (work / "work" / "job.sh").write_text('echo "$FLYBACK_RUN_ID" > out.txt\n')
    job = _job(work, command=["sh", "job.sh"], outputs=["out.txt"])
    runs = [_run(deployed, job)]
    runs[0].wait()
    runs.append(_run(deployed, job))
    runs[1].wait()
    for run in runs:
        out = run.folder / "attempts" / "1" / "outputs" / "out.txt"
        assert out.read_text().strip() == run.run_id


def test_a_machine_that_ec2_does_not_know_yet_is_not_lost(deployed: Cloud, work: Path) -> None:
    """EC2 is eventually consistent: three times "no such instance" after the launch, then it is."""
    from flyback.rehearsal.middleware.faults import Fault

    assert deployed.emulated is not None
    (work / "work" / "job.sh").write_text("echo hello\n")
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    deployed.emulated.faults.add(
        Fault(
            service="ec2",
            operation="DescribeInstances",
            calls=(1, 2, 3),
            code="InvalidInstanceID.NotFound",
            status=400,
        )
    )
    assert run.launch.attempts[-1].instance_type
    assert run.launch.attempts[-1].zone
    assert run.wait().kind == "SUCCESS"
    assert len(deployed.emulated.faults.hits) == 3
    _assert_gone(deployed, run)


def test_a_stopped_run_says_so(deployed: Cloud, work: Path) -> None:
    """`stop` while the job runs: INTERRUPTED, reason `stopped`, machine gone, receipt written."""
    (work / "work" / "job.sh").write_text("exec tail -f /dev/null\n")
    run = _run(deployed, _job(work, command=["sh", "job.sh"]))
    marker = run.stop()
    assert (marker.kind, marker.reason) == ("INTERRUPTED", "stopped")
    assert run.receipt().total_usd > 0
    _assert_gone(deployed, run)
