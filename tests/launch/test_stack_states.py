"""`up` and `down` go on from every state that a stack can be left in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, deploy, remove, start
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.errors import LeftoversError, ServiceError
from flyback.infra import templates
from flyback.launch import stack as stacks
from flyback.launch.progress import silent
from flyback.rehearsal.ec2.machines import NoHost
from flyback.rehearsal.middleware.faults import Fault

NAME = "flyback-core"
OPTIONS = Options(cloud="rehearsal")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with nothing in it."""
    places = [  # of both deployments that the tests have
        Place(name=name, account="123456789012", region="us-east-1")
        for name in ("flyback", "other")
    ]
    folder = local_home() / "rehearsal" / "cloud"
    started = start_rehearsal(folder, region="us-east-1", policy=deployer_policy(*places))
    assert started.emulated is not None
    yield started
    started.emulated.stop()


def _client(cloud: Cloud) -> Any:
    return cloud.session.client("cloudformation")


def _status(cloud: Cloud) -> str:
    found = cloud.session.cloudformation.describe(NAME)
    return found.status if found is not None else ""


def _fail(cloud: Cloud, operation: str, calls: tuple[int, ...] = ()) -> None:
    """CloudFormation's own calls of this operation are refused from now on."""
    assert cloud.emulated is not None
    cloud.emulated.faults.add(
        Fault(
            service="*",
            operation=operation,
            calls=calls,
            via="cloudformation",
            code="AccessDenied",
            message="planted",
            status=403,
        )
    )


def _heal(cloud: Cloud) -> None:
    assert cloud.emulated is not None
    cloud.emulated.faults.clear()


def _rolled_back(cloud: Cloud) -> None:
    _fail(cloud, "CreateLaunchTemplate")
    with pytest.raises(ServiceError, match=r"planted"):
        deploy(cloud, OPTIONS, silent)


def _rollback_failed(cloud: Cloud) -> None:
    _fail(cloud, "DeleteLogGroup")
    _rolled_back(cloud)


def _create_failed(cloud: Cloud) -> None:
    _fail(cloud, "CreateLaunchTemplate")
    _client(cloud).create_stack(
        StackName=NAME,
        TemplateBody=templates.read("core"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        DisableRollback=True,
    )
    stacks.follow(cloud.session, NAME, cloud.clock, silent)


def _in_review(cloud: Cloud) -> None:
    _client(cloud).create_change_set(
        StackName=NAME,
        ChangeSetName="looked-at",
        ChangeSetType="CREATE",
        TemplateBody=templates.read("core"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloud.clock.sleep(60)


def _delete_failed(cloud: Cloud) -> None:
    deploy(cloud, OPTIONS, silent)
    _fail(cloud, "DeleteLogGroup")
    cloud.session.cloudformation.delete(NAME)
    stacks.follow(cloud.session, NAME, cloud.clock, silent)


def _update_rollback_failed(cloud: Cloud) -> None:
    deploy(cloud, OPTIONS, silent)
    # the first change of the log group works; its way back, and whatever else changes, does not
    _fail(cloud, "PutRetentionPolicy", (2,))
    _fail(cloud, "CreateLaunchTemplateVersion")
    changed = templates.read("core").replace("RetentionInDays: 30", "RetentionInDays: 7")
    changed = changed.replace("shutdown -P", "shutdown  -P")
    desired = stacks.Desired(name="flyback", template=changed, tags={"flyback:name": "flyback"})
    with pytest.raises(ServiceError, match="could not deploy"):
        stacks.up(cloud.session, desired, cloud.clock)


STATES = {
    "ROLLBACK_COMPLETE": _rolled_back,
    "ROLLBACK_FAILED": _rollback_failed,
    "CREATE_FAILED": _create_failed,
    "REVIEW_IN_PROGRESS": _in_review,
    "DELETE_FAILED": _delete_failed,
    "UPDATE_ROLLBACK_FAILED": _update_rollback_failed,
}


@pytest.mark.parametrize("state", list(STATES))
def test_up_goes_on_from_it(cloud: Cloud, state: str) -> None:
    """The stack is deployed in the end, and a further `up` changes nothing."""
    STATES[state](cloud)
    assert _status(cloud) == state
    _heal(cloud)
    assert deploy(cloud, OPTIONS, silent).bucket
    assert _status(cloud) in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
    assert cloud.emulated is not None
    before = len(cloud.emulated.journal.mutating())
    deploy(cloud, OPTIONS, silent)
    assert len(cloud.emulated.journal.mutating()) == before


@pytest.mark.parametrize("state", list(STATES))
def test_down_goes_on_from_it(cloud: Cloud, state: str) -> None:
    """Nothing is left, and the certificate says so."""
    STATES[state](cloud)
    _heal(cloud)
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert _status(cloud) == ""


def test_down_leaves_the_machines_of_another_deployment(cloud: Cloud, tmp_path: Path) -> None:
    """Two deployments in one account: the first one's `down` ends no machine of the second."""
    assert cloud.emulated is not None
    cloud.emulated.machines.host = NoHost()
    other = dataclasses.replace(OPTIONS, name="other")
    for options in (OPTIONS, other):
        deploy(cloud, options, silent)
    job = tmp_path / "job.json"
    job.write_text('{"name": "theirs", "command": ["true"], "engine": "ec2"}')
    theirs = start(prepare(job), cloud, other, silent)
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).leftovers == ()
    instance = cloud.session.ec2.instance(theirs.launch.attempts[-1].instance_id or "")
    assert instance is not None
    assert instance.state == "running"


def test_up_takes_in_the_data_that_holds_a_half_deleted_stack(cloud: Cloud) -> None:
    """A delete that failed at a full bucket: nothing is purged, and the new stack has the data."""
    bucket = deploy(cloud, OPTIONS, silent).bucket
    cloud.emulated.clients("s3", "us-east-1").put_object(
        Bucket=bucket, Key="runs/x/result", Body=b"1"
    )
    cloud.session.cloudformation.delete(NAME)
    stacks.follow(cloud.session, NAME, cloud.clock, silent)
    assert _status(cloud) == "DELETE_FAILED"
    assert deploy(cloud, OPTIONS, silent).bucket == bucket
    assert cloud.session.buckets.object_versions(bucket) == 1


def test_up_says_what_it_cannot_clear_away(cloud: Cloud) -> None:
    """What can't be deleted for another reason is named, with what to do."""
    _delete_failed(cloud)
    with pytest.raises(ServiceError, match=r"can't be deleted: \w*LogGroup.*planted") as told:
        deploy(cloud, OPTIONS, silent)
    remedy = told.value.remedy
    assert "aws logs delete-log-group --log-group-name /flyback/flyback/runs" in remedy
    assert "bucket" not in remedy
    with pytest.raises(LeftoversError, match=r"LogGroup \(AWS::Logs::LogGroup .*planted") as told:
        remove(cloud, OPTIONS, keep_data=False, report=silent)
    assert "aws logs delete-log-group" in told.value.remedy


def test_each_resource_that_holds_a_stack_has_a_remedy_of_its_own(cloud: Cloud) -> None:
    """Two things stay: both are named with AWS's reason, and what stands in a VPC is asked for."""
    deploy(cloud, OPTIONS, silent)
    _fail(cloud, "DeleteVpc")
    _fail(cloud, "DeleteRepository")
    cloud.session.cloudformation.delete(NAME)
    stacks.follow(cloud.session, NAME, cloud.clock, silent)
    with pytest.raises(ServiceError, match=r"Repository .*planted.*; Vpc .*planted") as told:
        deploy(cloud, OPTIONS, silent)
    remedy = told.value.remedy
    assert "aws ec2 describe-network-interfaces --filters Name=vpc-id,Values=vpc-" in remedy
    assert "aws ecr delete-repository --force --repository-name flyback" in remedy
    assert "then run `flyback up` again" in remedy
