"""The certificate: each source is asked, and one thing left anywhere spoils it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyback.aws.ledger import FileLedger
from flyback.aws.lister import Lister
from flyback.aws.listing import Found, Listing, Owner
from flyback.aws.session import Access, Session
from flyback.cli.outcome import certify
from flyback.errors import AccessDeniedError, LeftoversError
from flyback.launch import leftovers
from flyback.launch.certify import certify_account, certify_run
from flyback.launch.guardian.ledger import StoreLedger
from flyback.spec.clock import SystemClock
from flyback.store.open import open_store


class Impatient:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self._now = 1e9

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        raise NotImplementedError(f"nobody computes here: {process} {seconds}")


RUN = "spectral-20260105t120000-abcd"
TAGS = [{"Key": "flyback:run-id", "Value": RUN}, {"Key": "flyback:name", "Value": "flyback"}]
KEYS = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}


# moto alone has none of these, or wants a container engine for them; the rehearsal says so.
NOT_IN_MOTO = {"placement group", "job queue", "compute environment", "job definition"}


@pytest.fixture
def account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Session, FileLedger]]:
    """A session on an empty account, and its ledger."""
    kept = tuple(item for item in leftovers.LISTINGS if item.kind not in NOT_IN_MOTO)
    monkeypatch.setattr(leftovers, "LISTINGS", kept)
    with mock_aws():
        ledger = FileLedger(tmp_path / "ledger.jsonl", SystemClock())
        access = Access(region="us-east-1", access_key="k", secret_key="s")
        yield Session(access, ledger), ledger


def _machine() -> str:
    ec2 = boto3.client("ec2", **KEYS)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    answer = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": TAGS}],
    )
    return str(answer["Instances"][0]["InstanceId"])


def _volume() -> str:
    ec2 = boto3.client("ec2", **KEYS)
    answer = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": TAGS}],
    )
    return str(answer["VolumeId"])


def _interface() -> str:
    ec2 = boto3.client("ec2", **KEYS)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    answer = ec2.create_network_interface(
        SubnetId=subnet,
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": TAGS}],
    )
    return str(answer["NetworkInterface"]["NetworkInterfaceId"])


def _bucket() -> str:
    name, s3 = "flyback-outputs-123456789012-us-east-1", boto3.client("s3", **KEYS)
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": TAGS})
    return name


def _group() -> str:
    boto3.client("logs", **KEYS).create_log_group(
        logGroupName="/flyback/flyback/runs", tags={"flyback:name": "flyback"}
    )
    return "/flyback/flyback/runs"


def test_an_empty_account_is_clean(account: tuple[Session, FileLedger]) -> None:
    """Nothing there: clean, with every source named."""
    session, ledger = account
    certificate = certify_account(session, "flyback", (), ledger, Impatient())
    assert certificate.clean
    assert {check.source for check in certificate.checks} == {"ledger", "tags", "sweep"}
    assert certify_run(session, RUN, ledger, Impatient()).clean


@pytest.mark.parametrize("plant", [_machine, _volume, _interface, _bucket, _group])
def test_each_planted_leftover_is_named_with_its_remedy(
    account: tuple[Session, FileLedger], plant: Callable[[], str]
) -> None:
    """One thing left: not clean, named once, with the command that removes it."""
    session, ledger = account
    identifier = plant()
    certificate = certify_account(session, "flyback", (), ledger, Impatient())
    assert not certificate.clean
    assert [item.identifier for item in certificate.leftovers] == [identifier]
    assert identifier in certificate.leftovers[0].remedy
    assert certificate.leftovers[0].remedy.startswith("aws ")


def test_what_could_not_be_asked_for_is_not_clean(
    account: tuple[Session, FileLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing found, and one kind refused: neither clean nor left over, and no success."""
    session, ledger = account
    find = Lister.find

    def refused(self: Lister, listing: Listing, owner: Owner) -> Iterator[Found]:
        if listing.kind == "alarm":
            raise AccessDeniedError("not authorized to perform cloudwatch:DescribeAlarms")
        return find(self, listing, owner)

    monkeypatch.setattr(Lister, "find", refused)
    certificate = certify_account(session, "flyback", (), ledger, Impatient())
    why = "alarm: not authorized to perform cloudwatch:DescribeAlarms"
    assert (certificate.clean, certificate.leftovers) == (False, ())
    assert certificate.unasked == (why,)
    assert not [text for text in certificate.exceptions if "alarm" in text]
    with pytest.raises(LeftoversError, match="nothing was found, but not all could be asked"):
        certify(certificate)
    found = leftovers.orphans(session, "flyback", Impatient())
    assert (found.leftovers(), found.refused) == ((), (why,))


def test_a_run_answers_for_its_own_schedules(account: tuple[Session, FileLedger]) -> None:
    """Another run's name may begin with this one's: its schedules must stand."""
    session, ledger = account
    scheduler = boto3.client("scheduler", **KEYS)
    scheduler.create_schedule_group(Name="flyback-trial")
    names = [f"{RUN}-deadline", f"{RUN}-machine-2", f"{RUN}-again-deadline"]
    for name in names:
        scheduler.create_schedule(
            Name=name,
            GroupName="flyback-trial",
            ScheduleExpression="at(2030-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:lambda:us-east-1:1:function:f", "RoleArn": "arn:aws:iam::1:r"},
        )
    certificate = certify_run(session, RUN, ledger, Impatient())
    assert [item.remedy for item in certificate.leftovers] == [
        f"aws scheduler delete-schedule --group-name flyback-trial --name {name}"
        for name in names[:2]
    ]


def test_other_deployments_are_not_reported(account: tuple[Session, FileLedger]) -> None:
    """Another name's or region's buckets, logs and machines are not this one's leftovers."""
    session, ledger = account
    s3 = boto3.client("s3", **KEYS)
    for name in (
        "flyback-outputs-123456789012-eu-west-1",
        "flyback-sonar-data-123456789012-us-east-1",
    ):
        s3.create_bucket(Bucket=name)
    boto3.client("logs", **KEYS).create_log_group(
        logGroupName="/flyback/sonar/runs", tags={"flyback:name": "sonar"}
    )
    ec2 = boto3.client("ec2", **KEYS)
    machine = _machine()
    ec2.create_tags(Resources=[machine], Tags=[{"Key": "flyback:name", "Value": "sonar"}])
    ledger.made("ec2", "CreateFleet", "token", RUN, machine)
    certificate = certify_account(session, "flyback", (), ledger, Impatient())
    assert certificate.leftovers == ()
    theirs = certify_account(session, "sonar", (), ledger, Impatient())
    assert [item.identifier for item in theirs.leftovers] == ["/flyback/sonar/runs", machine]


def test_what_only_the_tagging_service_remembers_is_gone(
    account: tuple[Session, FileLedger],
) -> None:
    """A deleted volume that GetResources still names is looked up, and is no leftover."""
    session, ledger = account
    volume = _volume()
    arn = f"arn:aws:ec2:us-east-1:123456789012:volume/{volume}"
    boto3.client("ec2", **KEYS).delete_volume(VolumeId=volume)

    class Ghosts(type(session.tagging)):  # type: ignore[misc]  # the class of whatever it is
        def arns(self, key: str, value: str) -> tuple[str, ...]:
            del key, value
            return (arn, "arn:aws:ec2:us-east-1:123456789012:fleet/fleet-1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flyback.aws.session.Tagging", Ghosts)
        certificate = certify_run(session, RUN, ledger, Impatient())
    assert certificate.clean, certificate
    assert max(check.seen for check in certificate.checks) == 2


def test_a_machine_that_only_the_ledger_knows_is_found(
    account: tuple[Session, FileLedger],
) -> None:
    """Its tags are gone, the ledger still says that it was made for this run."""
    session, ledger = account
    identifier = _machine()
    boto3.client("ec2", **KEYS).delete_tags(Resources=[identifier], Tags=TAGS)
    ledger.made("ec2", "CreateFleet", "token", RUN, identifier)
    certificate = certify_run(session, RUN, ledger, Impatient())
    assert [item.identifier for item in certificate.leftovers] == [identifier]
    (check,) = [check for check in certificate.checks if check.source == "ledger"]
    assert check.left == (identifier,)


def test_a_machine_that_only_the_guardians_ledger_knows_is_found(
    account: tuple[Session, FileLedger],
) -> None:
    """Relaunched without this machine, its tags lost since; what a job wrote there is no entry."""
    session, ledger = account
    boto3.client("s3", **KEYS).create_bucket(Bucket="outputs")
    store = open_store("s3://outputs", s3_client=session.client("s3"))
    guardian = StoreLedger(store, Impatient())
    identifier, others = _machine(), _machine()
    ec2 = boto3.client("ec2", **KEYS)
    ec2.delete_tags(Resources=[identifier], Tags=TAGS)
    ec2.create_tags(Resources=[others], Tags=[{"Key": "flyback:run-id", "Value": "another"}])
    guardian.intend("ec2", "CreateFleet", "token", RUN)
    guardian.made("ec2", "CreateFleet", "token", RUN, identifier, others, "i-nonsense")
    store.put(f"runs/{RUN}/ledger/theirs.json", b"{}")
    certificate = certify_run(session, RUN, ledger, Impatient(), store=store.url)
    assert [item.identifier for item in certificate.leftovers] == [identifier]
    checks = [check for check in certificate.checks if check.source == "ledger"]
    assert [check.left for check in checks] == [(), (identifier,)]
    assert checks[1].question == "each of 3 things made by the guardian's 2 entries"


def test_a_terminated_machine_is_no_leftover(account: tuple[Session, FileLedger]) -> None:
    """EC2 remembers it for an hour; terminal is terminal."""
    session, ledger = account
    identifier = _machine()
    ledger.made("ec2", "CreateFleet", "token", RUN, identifier)
    boto3.client("ec2", **KEYS).terminate_instances(InstanceIds=[identifier])
    certificate: Any = certify_run(session, RUN, ledger, Impatient())
    assert certificate.clean, certificate
    assert max(check.seen for check in certificate.checks) == 1
