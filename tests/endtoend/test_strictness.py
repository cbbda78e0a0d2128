"""A rehearsal that says yes too easily is worth nothing: what it can't answer for stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyback import api
from flyback.aws.sts import Sts
from flyback.errors import ServiceError, UserError
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


def test_an_interruption_is_acted_out(job: Path) -> None:
    """The notice reaches the agent, the attempt is INTERRUPTED, EC2 takes the machine back."""
    job.write_text('{"name": "small", "command": ["tail", "-f", "/dev/null"]}')
    shown = api.rehearse(job, setting=api.Setting(faults=("interrupt:at=65s",)))
    assert shown.marker.kind == "INTERRUPTED"
    assert shown.leftovers() == ()


def test_throttling_is_survived(job: Path) -> None:
    """One request in twenty is throttled, and the run is a success all the same."""
    shown = api.rehearse(job, setting=api.Setting(faults=("throttle:0.05",)))
    assert shown.marker.kind == "SUCCESS"
    assert shown.leftovers() == ()


def test_what_is_not_to_be_had_is_said(job: Path) -> None:
    """Without spot capacity anywhere the rehearsal is refused, and credentials can expire."""
    from flyback.errors import AccessDeniedError, CapacityError

    with pytest.raises(CapacityError):
        api.rehearse(job, setting=api.Setting(faults=("capacity:spot",)))
    with pytest.raises(AccessDeniedError, match="expired"):
        api.rehearse(job, setting=api.Setting(faults=("expired-credentials:at=10s",)))
