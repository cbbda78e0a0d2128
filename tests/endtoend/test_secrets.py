"""A secret goes from the account's store into the job's environment, and nowhere else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.agent.scratch import Scratch
from flyback.api.job import Prepared
from flyback.api.rehearsing import rehearse
from flyback.api.verbs import Options, start
from flyback.api.wiring import Cloud, local_home
from flyback.errors import UserError
from flyback.launch.ec2 import AMI_PARAMETER
from flyback.launch.progress import silent
from flyback.rehearsal.middleware.faults import Fault
from flyback.spec.codec import dumps
from flyback.spec.paths import RunPaths

OPTIONS = Options(cloud="rehearsal")
REFERENCES = {"TOKEN": "ssm:/flyback/token", "KEY": "secretsmanager:flyback/team/key"}
VALUES = {"TOKEN": "hf_q8Zr2LxW0pTn5Vb7", "KEY": 'k3y "with" quotes\nand a second line'}
# The job: waits until it was looked at, prints what it should not, proves that it has the values.
JOB = """
import hashlib, json, os, pathlib, sys
os.mkfifo("looked")
pathlib.Path("ready").touch()
pathlib.Path("looked").read_text()  # until the other end is opened and closed
values = {name: os.environ[name] for name in ("TOKEN", "KEY")}
print("stdout", values)
print("stderr", values["TOKEN"], values["KEY"], file=sys.stderr)
for letter in values["TOKEN"]:
    print(letter, end="", flush=True)
print()
sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in values.items()}
print(json.dumps({"sums": sums, "echo": values}))
"""
# In the job's own folder, below the folder of all machines.
READY = str(Scratch(Path("*/*/opt/flyback/runs/*/1"), RunPaths("any").attempt(1)).work / "ready")
SET_UP = ("python3", "-c", "import os; print('set-up:', sorted(os.environ))")


def pieces() -> list[bytes]:
    """What must not be found: each line of each value."""
    return [line.encode() for value in VALUES.values() for line in value.splitlines()]


def found_in(text: bytes | str) -> list[bytes]:
    """Which of them a text holds."""
    data = text.encode() if isinstance(text, str) else text
    return [piece for piece in pieces() if piece in data]


def store(cloud: Cloud) -> None:
    """Put the secrets where a user would."""
    cloud.emulated.clients("ssm", "us-east-1").put_parameter(
        Name="/flyback/token", Value=VALUES["TOKEN"], Type="SecureString"
    )
    cloud.emulated.clients("secretsmanager", "us-east-1").create_secret(
        Name="flyback/team/key", SecretString=VALUES["KEY"]
    )


@pytest.fixture
def secretive(gpu_job: Callable[..., Prepared]) -> Callable[..., Prepared]:
    """Makes a job with these secrets."""

    def make(references: dict[str, str] | None = None, *command: str) -> Prepared:
        prepared = gpu_job("spot.attempts=3")
        job = dataclasses.replace(
            prepared.job,
            command=command or ("python3", "-c", JOB),
            setup=(SET_UP,),
            secrets=references or REFERENCES,
        )
        return dataclasses.replace(prepared, job=job)

    return make


def processes() -> Iterator[tuple[str, bytes, bytes]]:
    """Every process that can be looked at: id, command line, environment."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            environment = b""  # not ours
        yield folder.name, line, environment


def look(machines: Path, over: threading.Event, seen: dict[str, Any]) -> None:
    """Once the job says that it is ready, look at every process, then let it go on."""
    while not over.wait(0.02):
        ready = next(iter(machines.glob(READY)), None)
        if ready is None:
            continue
        everything = list(processes())
        seen["looked at"] = len(everything)
        seen["arguments"] = [pid for pid, line, _ in everything if found_in(line)]
        seen["environments"] = [
            line for _, line, environment in everything if found_in(environment)
        ]
        ready.with_name("looked").write_text("")
        return


def test_a_secret_reaches_the_job_and_nothing_else(
    deployed: Cloud, secretive: Callable[..., Prepared]
) -> None:
    """Not argv, no other environment, no log, event, file of the run, object, journal or disk."""
    store(deployed)
    emulated = deployed.emulated
    assert emulated is not None
    over, seen = threading.Event(), dict[str, Any]()
    machines = local_home() / "rehearsal" / "cloud" / "machines"
    watcher = threading.Thread(target=look, args=(machines, over, seen))
    watcher.start()
    try:
        run = start(secretive(), deployed, OPTIONS, silent)
        marker = run.wait()
    finally:
        over.set()
        watcher.join()
    assert marker.kind == "SUCCESS", marker.log_tail

    # it reached the job
    (result,) = run.results()
    assert result.values is not None
    assert result.values["sums"] == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in VALUES.items()
    }
    assert result.values["echo"] == {"TOKEN": "***", "KEY": "***"}

    # while it ran, only the job had it
    assert seen["looked at"] > 1
    assert seen["arguments"] == []
    (holder,) = seen["environments"]
    assert b"hashlib" in holder

    # what it printed came home without it, and the set-up never had it
    log = (run.folder / "attempts" / "1" / "log.txt").read_text()
    assert log.count("***") >= 5
    assert "set-up: [" in log
    assert "'TOKEN'" not in log.split("set-up: ")[1].splitlines()[0]
    assert_nowhere(deployed, machines)


def assert_nowhere(cloud: Cloud, machines: Path) -> None:
    """No file at home or on the machine, no object, no log line and no call holds it."""
    assert cloud.emulated is not None
    checked = 0
    for top in (local_home(), machines):
        for folder, _, names in os.walk(top):
            if "images" in Path(folder).parts:
                continue
            for name in names:
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink():
                    checked += 1
                    assert not found_in(path.read_bytes()), path
    s3 = cloud.emulated.clients("s3", "us-east-1")
    for bucket in cloud.session.buckets.names("flyback-"):
        for item in s3.list_object_versions(Bucket=bucket).get("Versions", []):
            checked += 1
            body = s3.get_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
            assert not found_in(body["Body"].read()), item["Key"]
    logs = cloud.emulated.clients("logs", "us-east-1")
    for group in logs.describe_log_groups()["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        checked += len(events)
        assert not found_in(json.dumps(events))
    for entry in cloud.emulated.journal.entries():
        checked += 1
        assert not found_in(dumps(entry))
    assert not found_in(dumps(dict(cloud.emulated.records())))
    assert checked > 100


def test_a_secret_that_vanished_fails_the_run(
    deployed: Cloud, secretive: Callable[..., Prepared]
) -> None:
    """Deleted between launch and boot: FAILURE with sentence and remedy, the job not started."""
    store(deployed)
    run = start(secretive(), deployed, OPTIONS, silent)
    deployed.emulated.clients("ssm", "us-east-1").delete_parameter(Name="/flyback/token")
    marker = run.wait()
    assert (marker.kind, marker.reason) == ("FAILURE", "setup")
    assert "secrets.TOKEN: there is no secret ssm:/flyback/token" in marker.log_tail
    assert "→ store it in the run's region under that name" in marker.log_tail
    assert "stdout" not in marker.log_tail


@pytest.mark.parametrize(
    ("references", "what", "remedy"),
    [
        (
            {"T": "ssm:/flyback/none"},
            "there is no secret ssm:/flyback/none in us-east-1",
            "aws ssm put-parameter --type SecureString --name /flyback/none --region us-east-1",
        ),
        (
            {"T": "secretsmanager:flyback/none"},
            "there is no secret secretsmanager:flyback/none in us-east-1",
            "aws secretsmanager create-secret --name flyback/none --region us-east-1",
        ),
        (
            {"T": "ssm:/elsewhere/token"},
            "machines may not read ssm:/elsewhere/token: their role reads only below ssm:/flyback/",
            "--name /flyback/elsewhere/token",
        ),
        (
            {"T": "secretsmanager:token"},
            "machines may not read secretsmanager:token",
            "--name flyback/token",
        ),
    ],
)
def test_a_missing_secret_is_said_before_anything_is_created(
    deployed: Cloud,
    secretive: Callable[..., Prepared],
    references: dict[str, str],
    what: str,
    remedy: str,
) -> None:
    """What, where and remedy; no mutating call; no value was read."""
    assert deployed.emulated is not None
    journal = deployed.emulated.journal
    before = journal.entries()[-1].number
    with pytest.raises(UserError) as caught:
        start(secretive(references, "true"), deployed, OPTIONS, silent)
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert caught.value.where == "secrets.T"
    called = journal.entries(after=before)
    assert not [entry for entry in called if entry.mutating]
    reads = {"ssm:GetParameter", "secretsmanager:GetSecretValue"}
    asked = deployed.emulated.judge.asked(after=before)
    read = {item.resource for item in asked if item.action in reads}
    assert all(resource.endswith(f":parameter{AMI_PARAMETER}") for resource in read), read


def test_what_may_not_be_looked_at_is_passed_over(
    deployed: Cloud, secretive: Callable[..., Prepared]
) -> None:
    """A caller who may not read metadata is told so, and the machine has the last word."""
    store(deployed)
    assert deployed.emulated is not None
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    deployed.emulated.faults.add(
        Fault(service="ssm", operation="DescribeParameters", **denied),  # type: ignore[arg-type]
        Fault(service="secretsmanager", operation="DescribeSecret", **denied),  # type: ignore[arg-type]
    )
    said: list[str] = []
    check = ("python3", "-c", "import os; os.environ['TOKEN'], os.environ['KEY']")
    run = start(secretive(None, *check), deployed, OPTIONS, lambda _, text: said.append(text))
    for variable in REFERENCES:
        assert any(f"secrets.{variable} could not be checked" in text for text in said)
    assert run.wait().kind == "SUCCESS"


def test_a_rehearsal_has_stand_ins(tmp_path: Path) -> None:
    """`flyback rehearse` of a job with secrets runs: its account holds made-up ones."""
    path = tmp_path / "job.json"
    command = ["sh", "-c", 'echo "{\\"size\\": ${#TOKEN}}"']
    path.write_text(json.dumps({"name": "s", "command": command, "secrets": REFERENCES}))
    said: list[str] = []
    options = dataclasses.replace(OPTIONS, report=lambda _, text: said.append(text))
    shown = rehearse(path, options=options)
    assert shown.marker.kind == "SUCCESS", shown.marker.log_tail
    assert shown.results[0].values == {"size": 41}
    assert not shown.leftovers()
    assert "secrets.TOKEN: ssm:/flyback/token is a stand-in here" in said
