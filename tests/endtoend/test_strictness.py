"""A rehearsal that says yes too easily is worth nothing: what it can't answer for stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyback import api
from flyback.api.verbs import Options
from flyback.api.wiring import local_home
from flyback.aws.sts import Sts
from flyback.cli.main import main
from flyback.errors import AccessDeniedError, CapacityError, ServiceError, UserError
from flyback.infra import templates

_JOB = '{"name": "small", "command": ["true"]}'


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of one harmless command."""
    path = tmp_path / "job.json"
    path.write_text(_JOB)
    return path


def _plant(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Another core template."""
    text = templates.read("core")
    assert old in text
    monkeypatch.setattr(templates, "read", lambda _: text.replace(old, new, 1))


def test_a_property_that_the_engine_does_not_know_is_named(
    monkeypatch: pytest.MonkeyPatch, job: Path
) -> None:
    """A property that exists on AWS, but is not emulated, stops the rehearsal by name."""
    old = "      BucketEncryption:\n"
    _plant(
        monkeypatch, old, f"      AccelerateConfiguration: {{AccelerationStatus: Enabled}}\n{old}"
    )
    with pytest.raises(ServiceError, match="AccelerateConfiguration"):
        api.rehearse(job)


def test_a_misspelt_property_is_named(monkeypatch: pytest.MonkeyPatch, job: Path) -> None:
    """So does one that exists nowhere."""
    _plant(monkeypatch, "BucketEncryption:\n", "BucketEncryptoin:\n")
    with pytest.raises(ServiceError, match="BucketEncryptoin"):
        api.rehearse(job)


def test_an_unsupported_operation_is_named(monkeypatch: pytest.MonkeyPatch, job: Path) -> None:
    """A call that neither our parts nor moto implement stops the rehearsal by service and name."""

    def planted(service: Sts) -> object:
        return service._call("get_web_identity_token", Audience=["a"], SigningAlgorithm="RS256")

    monkeypatch.setattr(Sts, "identity", planted)
    with pytest.raises(ServiceError, match=r"(?i)not.?emulated.*GetWebIdentityToken"):
        api.rehearse(job)


@pytest.mark.parametrize(
    ("shebang", "sentence"),
    [("#!/bin/bash\n", "exit code"), ("bash\n", "no script")],
    ids=["broken", "no-script"],
)
def test_a_bad_user_data_is_named(
    monkeypatch: pytest.MonkeyPatch, job: Path, shebang: str, sentence: str
) -> None:
    """User-data that fails, or that is no script, stops the rehearsal instead of idling."""
    text = templates.read("core")
    head, mark, rest = text.partition("#!/bin/bash\n")
    assert mark
    indent = rest[: len(rest) - len(rest.lstrip(" "))]
    planted = f"{head}{shebang}{indent}if true; then planted (\n{rest}"
    monkeypatch.setattr(templates, "read", lambda _: planted)
    with pytest.raises(ServiceError, match=sentence) as caught:
        api.rehearse(job)
    assert "user-data" in str(caught.value)
    assert "i-" in caught.value.where


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("throtle:0.1", "did you mean 'throttle'"),
        ("throttle", "share of the requests"),
        ("throttle:much", "share of the requests"),
        ("throttle:1.5", "up to 1"),
        ("throttle:0.1,servce=s3", "takes no 'servce'"),
        ("capacity:", "one zone, instance type or market"),
        ("interrupt:40s", "at=40s"),
        ("interrupt:at=40", "at=40s"),
        ("expired-credentials", "at=40s"),
        ("capacity:us-east-1x", "did you mean 'us-east-1[a-f]'"),
        ("capacity:us-west-2a", "lies outside us-east-1"),
        ("capacity:g4dn.xlrge", "did you mean 'g4dn.xlarge'"),
        ("capacity:sput", "did you mean 'spot'"),
        ("throttle:0.1,service=s33", "did you mean 's3'"),
        ("drop:0.1,service=dynamodb", "for example batch, cloudformation, cloudwatch,"),
        ("error:0.1,service=s3,operation=PutObjet", "did you mean 'PutObject'"),
        ("error:0.1,service=s3,operation=CreateFleet", "no operation of s3"),
        ("throttle:0.1,operation=createfleet", "did you mean 'CreateFleet'"),
        ("interrupt:at=40s,times=0", "times counts machines"),
        ("reboot", "at=40s"),
        ("os-hung:soon", "at=40s"),
        ("guardian-broken:yes", "it takes nothing"),
        ("schedules-lost:some", "one-time or recurring"),
    ],
)
def test_a_fault_that_is_none_is_refused(job: Path, fault: str, sentence: str) -> None:
    """With the word as it was given and an example of the right form; nothing is started."""
    with pytest.raises(UserError, match=sentence) as caught:
        api.rehearse(job, setting=api.Setting(faults=(fault,)))
    assert caught.value.where == f"--fault {fault}"
    assert not (local_home() / "rehearsal").exists()


def test_an_interruption_is_acted_out(job: Path) -> None:
    """The notice reaches the agent, the attempt is INTERRUPTED, EC2 takes the machine back."""
    job.write_text('{"name": "small", "command": ["tail", "-f", "/dev/null"]}')
    # a job's seconds are real ones: soon after the boot
    shown = api.rehearse(job, setting=api.Setting(faults=("interrupt:at=45s",)))
    assert shown.marker.kind == "INTERRUPTED"
    assert shown.leftovers() == ()
    assert [outcome.acted for outcome in shown.faults] == [3]  # every attempt at spot


@pytest.mark.parametrize(
    ("command", "code"), [("true", 2), ("false", 1)], ids=["the-run-is-well", "the-run-failed"]
)
def test_faults_that_never_acted_are_told(
    job: Path, capfd: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    """Each by name and with what would let it act; a good run then is no success."""
    idle = (
        "interrupt:at=5h",
        "error:0.9,service=iam,operation=DeleteUser",
        "capacity:p4d.24xlarge",
    )
    job.write_text(json.dumps({"name": "small", "command": [command]}))
    asked = [f"--fault={text}" for text in idle]
    with pytest.raises(SystemExit) as ended:
        main(["rehearse", str(job), "--json", *asked])
    said = capfd.readouterr()
    told = json.loads(said.out.splitlines()[-1])["faults"]
    assert (ended.value.code, told) == (code, [{"fault": text, "acted": 0} for text in idle])
    assert all(f"--fault {text}" in said.err for text in idle)
    assert "never acted" in said.err
    assert "an earlier time" in said.err


def test_a_fault_without_a_part_in_a_failure_is_told(job: Path) -> None:
    """Where the rehearsal ends with an error, the faults that had no part in it are named too."""
    said: list[str] = []
    options = Options(cloud="rehearsal", report=lambda _, text: said.append(text))
    faults = ("capacity:spot", "interrupt:at=1m")
    with pytest.raises(CapacityError):
        api.rehearse(job, options=options, setting=api.Setting(faults=faults))
    (told,) = [text for text in said if "never acted" in text]
    assert "--fault interrupt:at=1m:" in told
    assert "capacity:spot" not in told


def test_throttling_is_survived(job: Path) -> None:
    """One request in twenty is throttled, and the run is a success all the same."""
    shown = api.rehearse(job, setting=api.Setting(faults=("throttle:0.05",)))
    assert shown.marker.kind == "SUCCESS"
    assert shown.leftovers() == ()


def test_what_is_not_to_be_had_is_said(job: Path) -> None:
    """Without spot capacity anywhere the rehearsal is refused, and credentials can expire."""
    with pytest.raises(CapacityError):
        api.rehearse(job, setting=api.Setting(faults=("capacity:spot",)))
    with pytest.raises(AccessDeniedError, match="expired"):
        api.rehearse(job, setting=api.Setting(faults=("expired-credentials:at=10s",)))
