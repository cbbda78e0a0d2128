"""Every kind of thing that can linger is planted, found, named with its command, and removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_command_line import shell
from leak_planter import ALARM, OURS, REGION, SPARE, Planter
from leak_table import ROWS
from moto import mock_aws

from flyback.aws.ledger import FileLedger
from flyback.aws.listings import LISTINGS
from flyback.aws.session import Access, Session
from flyback.infra import templates
from flyback.launch.certify import certify_account
from flyback.launch.leftovers import clear, orphans
from flyback.spec.clock import SystemClock

THEIRS = "flyback-core"  # its name begins with ours, and as our stack's


class NoWait(SystemClock):
    """Waits take no time, and an hour each."""

    def __init__(self) -> None:
        self.time = super().now()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += max(seconds, 0) + 60


def _namesakes(planter: Planter, name: str) -> list[tuple[str, str]]:
    """Kind and identifier of what has the names that flyback gives, and no tag of it.

    Somebody whose own things are called so, in an account where flyback is not deployed.
    """
    place = f"123456789012-{REGION}"
    buckets = [f"{name}-data-{place}", f"{name}-bootstrap-{place}"]
    for bucket in buckets:
        planter.client("s3").create_bucket(Bucket=bucket)
        planter.client("s3").put_object(Bucket=bucket, Key="theirs", Body=b"x")
    groups = [f"/aws/lambda/{name}-guardian", f"/flyback/{name}/runs"]
    for group in groups:
        planter.client("logs").create_log_group(logGroupName=group)
    planter.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{name}-core-Alarm",
        **ALARM,
    )
    board = f"{name}-{REGION}"
    planter.client("cloudwatch").put_dashboard(DashboardName=board, DashboardBody="{}")
    sns, scheduler = planter.client("sns"), planter.client("scheduler")
    topic = sns.create_topic(Name=f"{name}-alerts")["TopicArn"]
    subscription = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@b.example", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    scheduler.create_schedule_group(Name=f"flyback-{name}")
    scheduler.create_schedule(
        Name="nightly",
        GroupName=f"flyback-{name}",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:lambda:us-east-1:1:function:f", "RoleArn": "arn:aws:iam::1:r"},
    )
    rules = [f"{name}-ends", f"{name}-interruptions"]
    for rule in rules:
        planter.client("events").put_rule(Name=rule, ScheduleExpression="rate(1 hour)")
    repositories = [name, f"{name}/trainer"]
    for repository in repositories:
        planter.client("ecr").create_repository(repositoryName=repository)
    subnets = planter.client("ec2").describe_subnets()["Subnets"][:2]
    balancer = planter.client("elbv2").create_load_balancer(
        Name=f"{name}-core-LB", Subnets=[item["SubnetId"] for item in subnets]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    job = planter.client("batch").register_job_definition(
        jobDefinitionName=f"{name}-core-Job",
        type="container",
        containerProperties={"image": "busybox", "vcpus": 1, "memory": 128},
    )["jobDefinitionArn"]
    return [
        *(("bucket", item) for item in buckets),
        *(("log group", item) for item in groups),
        ("alarm", f"{name}-core-Alarm"),
        ("dashboard", board),
        ("topic", topic),
        ("subscription", subscription),
        ("schedule group", f"flyback-{name}"),
        ("schedule", "nightly"),
        *(("event rule", item) for item in rules),
        ("function", planter.function_called(f"{name}-guardian", {})),
        *(("repository", item) for item in repositories),
        ("load balancer", balancer),
        ("job definition", job),
    ]


KINDS = ("instance", *dict.fromkeys(item.kind for item in LISTINGS), "multipart upload")
PLANTED = tuple(dict.fromkeys(name for row in ROWS for name in row.planted))
# each stands in another kind, or hangs on it
AFTER = ("schedule", "job queue", "multipart upload", "disk of a stopped instance")
ORDER = sorted(PLANTED, key=AFTER.__contains__)
LATER = "disk of a stopped instance"  # which `reap` can remove only once that is terminated


def _is_there(session: Session, kind: str, identifier: str) -> bool:
    listing = next(item for item in LISTINGS if item.kind == kind)
    return session.lister(listing.service).has(listing, identifier.rpartition(":")[2])


@pytest.fixture
def account(tmp_path: Path) -> Iterator[tuple[Session, Any]]:
    """An account without flyback, and who plants in it."""
    with mock_aws(config={"lambda": {"use_docker": False}, "batch": {"use_docker": False}}):
        clock = NoWait()
        ledger = FileLedger(tmp_path / "ledger.jsonl", clock)
        access = Access(region=REGION, access_key="k", secret_key="s")
        session, planter = Session(access, ledger), Planter()
        planter.placement.answer(session.client("ec2"))
        planter.marks.answer(session.client("resourcegroupstaggingapi"))
        yield session, (planter, clock, ledger)


def _by_hand(account: tuple[Session, Any], folder: Path) -> list[str]:
    """What stays, or says that it failed, where somebody runs the printed commands."""
    session, (planter, clock, _) = account
    for name in ORDER:
        planter.plant(name, SPARE)
    clock.time += 2 * 86_400
    said = []
    with shell(folder, session.client) as run:
        for _ in range(2):  # a disk comes to light when its machine has ended
            for item in orphans(session, SPARE, clock).leftovers():
                told = run(item.remedy)
                said += [f"{item.kind}: {told}"] if told else []
    return [*said, *(item.identifier for item in orphans(session, SPARE, clock).leftovers())]


def test_every_row_is_planted_or_says_why_not() -> None:
    """The table is complete: each row one or the other, and no listing without a row."""
    assert all(bool(row.planted) != bool(row.why_not) for row in ROWS)
    assert {*KINDS} <= {*PLANTED}
    assert {*PLANTED} - {*KINDS} == {LATER, "second revision"}


def test_no_log_group_comes_back() -> None:
    """Why log groups without tags are not looked for: no role of ours may make one."""
    for name in ("core", "ci"):
        text = re.sub(r"#.*", "", templates.read(name))
        assert "logs:CreateLogGroup" not in text
        assert "logs:*" not in text
        assert text.count("AWS::Lambda::Function") == text.count("LoggingConfig:")


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_proof_planted_leaks(account: tuple[Session, Any], tmp_path: Path) -> None:
    """The certificate and `reap` find each; `reap --yes` removes it, and nobody else's twin.

    So do the printed commands, run by a shell.
    """
    session, (planter, clock, ledger) = account
    ours, theirs = {}, {}
    for kind in ORDER:
        ours[kind] = planter.plant(kind, OURS)
        theirs[kind] = planter.plant(kind, THEIRS)
    del theirs["identity provider"]
    pending = planter.pending_secret(OURS)
    far, namesakes = planter.elsewhere(OURS), _namesakes(planter, OURS)
    clock.time += 2 * 86_400  # past every deadline
    certificate = certify_account(session, OURS, (), ledger, clock)
    certified = {item.identifier: item for item in certificate.leftovers}
    found = orphans(session, OURS, clock)
    listed = {item.identifier: item for item in found.leftovers()}
    named = [
        kind
        for kind, identifier in ours.items()
        if identifier in certified
        and (identifier in listed or kind == LATER)
        and certified[identifier].remedy.startswith("aws ")
        and identifier.split("#")[-1] in certified[identifier].remedy
    ]
    foreign = [*theirs.values(), *far, pending, *(identifier for _, identifier in namesakes)]
    strangers = [name for name in foreign if name in certified or name in listed]
    _, failed = clear(session, OURS, clock, data=True)
    after = {item.identifier for item in orphans(session, OURS, clock).leftovers()}
    still = [kind for kind, identifier in ours.items() if identifier in after]
    still += [LATER] if session.ec2.volume_exists(ours[LATER]) else []
    their = {item.identifier for item in orphans(session, THEIRS, clock).leftovers()}
    their |= {theirs[LATER]} if session.ec2.volume_exists(theirs[LATER]) else set()
    taken = [kind for kind, identifier in theirs.items() if identifier not in their]
    taken += [name for kind, name in namesakes if not _is_there(session, kind, name)]
    by_hand = _by_hand(account, tmp_path / "bin")
    print(
        f"PROOF planted-leaks kinds={len(PLANTED)} found={len(named)} "
        f"removed={len(PLANTED) - len(still)} strangers_touched={len(strangers) + len(taken)} "
        f"commands_failed={len(by_hand)}"
    )
    assert not certificate.clean
    assert sorted(set(PLANTED) - set(named)) == []
    assert (strangers, taken) == ([], [])
    assert (still, failed) == ([], ())
    assert by_hand == []
