"""Rehearsals that use every grant of the shipped policies, with what IAM was asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import end_scenarios
import push_scenarios
import pytest
import refusals
import run_scenarios
import scope_scenarios
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from flyback.api.pushing import Branch, grant_push
from flyback.api.verbs import Options, deploy
from flyback.api.wiring import Cloud, start_rehearsal
from flyback.audit.iam import Asked, Attached
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.audit.iam.grants import Verdict, judge_grants
from flyback.errors import FlybackError, ServiceError
from flyback.launch.progress import silent
from flyback.rehearsal.middleware.faults import Fault
from flyback.rehearsal.transport import Caller
from flyback.store.s3 import S3Store

REGION = "us-east-1"
ACCOUNT = "123456789012"
NAME = "trial"  # not the default, so that names which follow from it show
PLACE = Place(name=NAME, account=ACCOUNT, region=REGION)
OPTIONS = Options(cloud="rehearsal", name=NAME)
_DATA = f"{NAME}-data-{ACCOUNT}-{REGION}"
_OUTPUTS = f"{NAME}-outputs-{ACCOUNT}-{REGION}"


REPOSITORY = push_scenarios.REPOSITORY


@dataclass
class Evidence:
    """What rehearsals showed.

    Args:
        policies: Every policy of the deployed account.
        asked: Every question, each with its scenario.
        deployer: The policies of whoever deploys, `up --ci` included.
        attempts: Name of each attempt out of scope → the error code that it met, or empty.
        messages: The same → what AWS says of it.
        complaints: What attempts met other refusals than they are to meet, or none.
    """

    policies: tuple[Attached, ...] = ()
    deployer: tuple[Attached, ...] = ()
    asked: list[Asked] = field(default_factory=list)
    attempts: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


class Recorder:
    """A deployed cloud, scenario by scenario.

    Args:
        cloud: Where.
        evidence: Where to.
    """

    def __init__(self, cloud: Cloud, evidence: Evidence) -> None:
        assert cloud.emulated is not None
        self.cloud, self.evidence = cloud, evidence
        self.emulated = cloud.emulated

    @contextmanager
    def scenario(self, name: str, refused: tuple[str, ...] = ()) -> Iterator[None]:
        """Everything asked while this lasts is this scenario's; it fails where more is refused.

        Args:
            name: Its name.
            refused: What is to be, as `refusals.check` takes it.
        """
        before = self.emulated.journal.last
        yield
        asked = self.emulated.judge.asked(after=before)
        self.evidence.asked += [dataclasses.replace(item, scenario=name) for item in asked]
        refusals.check(name, asked, refused)

    def attempt(self, name: str, refused: str, call: Callable[[], Any]) -> None:
        """Try what must be refused.

        Args:
            name: Of the attempt.
            refused: At which question, as `refusals.check` takes it; empty: before any is asked.
            call: What is tried.
        """
        before = self.emulated.journal.last
        try:
            call()
        except ClientError as error:
            self.evidence.attempts[name] = error.response["Error"]["Code"]
            self.evidence.messages[name] = error.response["Error"]["Message"]
        else:
            self.evidence.attempts[name] = ""
        asked = self.emulated.judge.asked(after=before)
        self.evidence.asked += [dataclasses.replace(item, scenario=name) for item in asked]
        try:
            refusals.check(name, asked, (refused,) if refused else ())
        except refusals.ScenarioFailedError as error:
            self.evidence.complaints.append(str(error))

    def role(self, named: str) -> str:
        """ARN of one of the stack's roles, by its logical id."""
        return next(
            item.holder
            for item in self.evidence.policies
            if item.kind == "trust" and f"-{named}-" in item.holder
        )

    def with_token(self, token: str, role: str) -> dict[str, str]:
        """Keys for a token of GitHub's, as a workflow asks for them: unsigned."""
        sts = boto3.client(
            "sts",
            region_name=REGION,
            endpoint_url=self.emulated.endpoint,
            config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
        )
        found: dict[str, str] = sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="push-1", WebIdentityToken=token
        )["Credentials"]
        return found

    def as_role(
        self, arn: str, service: str, session: str = "i-0123456789abcdef0", taker: str = "ec2"
    ) -> Any:
        """A client with the credentials that EC2 hands to a machine, or another service takes."""
        source = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/flyback-{NAME}"
        caller = Caller(via=taker, source_arn=source if taker == "scheduler" else "")
        answer = self.emulated.clients.of("sts", REGION, caller).assume_role(
            RoleArn=arn, RoleSessionName=session
        )
        return self.with_keys(answer["Credentials"], service)

    def with_keys(self, keys: dict[str, str], service: str) -> Any:
        """A client with the credentials of a role's session."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.emulated.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


def record_refused_upload(recorder: Recorder, role: str, folder: Path) -> None:
    """A large file whose parts S3 does not take together: they are removed again."""
    large = folder / "large.bin"
    large.write_bytes(bytes(40 * 2**20))
    fault = Fault(service="s3", operation="CompleteMultipartUpload", code="InvalidPart", status=400)
    recorder.emulated.faults.add(fault)
    uploads = ("s3:ListBucketMultipartUploads",)  # the parts are removed by the id alone
    with recorder.scenario("an upload whose parts are refused", uploads), suppress(FlybackError):
        store = S3Store(_OUTPUTS, client=recorder.as_role(role, "s3"))
        store.put_file("runs/x/large.bin", large)
    recorder.emulated.faults.clear()


def record_single_calls(recorder: Recorder, instance: str) -> None:
    """The product's calls that no run above makes: another `up`, a stop, logs, quotas."""
    session = recorder.cloud.session
    with recorder.scenario("up again, with another tag"):
        deploy(recorder.cloud, OPTIONS, silent)
        deploy(recorder.cloud, dataclasses.replace(OPTIONS, tags={"Owner": "me"}), silent)
    with recorder.scenario("stop, logs, quotas"):
        session.ec2.terminate([instance])
        session.logs.page(f"/flyback/{NAME}/runs", "ec2-x")
        session.quotas.open_request("L-3819A6DF")
        with suppress(ServiceError):
            session.cloudformation.continue_rollback(f"{NAME}-core")
    session.ec2.terminate(["i-0123456789abcdef0"])  # EC2 knows none: no tag, so IAM refuses it


def record_rollback(recorder: Recorder) -> None:
    """A first `up` whose launch template is refused: CloudFormation takes all of it back."""
    fault = Fault(service="ec2", operation="CreateLaunchTemplate", code="Unavailable", status=503)
    recorder.emulated.faults.add(fault)
    with recorder.scenario("an up that is rolled back"), suppress(FlybackError):
        deploy(recorder.cloud, OPTIONS, silent)
    recorder.emulated.faults.clear()


def record_deployment(recorder: Recorder) -> None:
    """`up`, and `up --ci` for one branch, for another, and with another tag; the policies then."""
    with recorder.scenario("up"):
        deploy(recorder.cloud, OPTIONS, silent)
    with recorder.scenario("up --ci"):
        grant_push(recorder.cloud, OPTIONS, Branch.parse(f"{REPOSITORY}@feature"), silent)
        grant_push(recorder.cloud, OPTIONS, Branch.parse(f"{REPOSITORY}@main"), silent)
    with recorder.scenario("up --ci again, with another tag"):
        tagged = dataclasses.replace(OPTIONS, tags={"Owner": "me"})
        grant_push(recorder.cloud, tagged, Branch.parse(f"{REPOSITORY}@main"), silent)
    attached = recorder.emulated.judge.attached()
    recorder.evidence.policies = tuple(item for item in attached if ":user/" not in item.holder)
    recorder.evidence.deployer = tuple(item for item in attached if ":user/" in item.holder)


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory, machine_images: Path) -> Evidence:
    """Every scenario, once."""
    home = tmp_path_factory.mktemp("evidence")
    (home / "images").symlink_to(machine_images)
    evidence = Evidence()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYBACK_HOME", str(home))
        cloud = start_rehearsal(
            home / "cloud", region=REGION, policy=deployer_policy(PLACE, ci=True)
        )
        assert cloud.emulated is not None
        try:
            recorder = Recorder(cloud, evidence)
            record_rollback(recorder)
            record_deployment(recorder)
            end_scenarios.record_somebody_elses_push_role(recorder)
            role = recorder.role("InstanceRole")
            push_scenarios.record_push(recorder)
            push_scenarios.record_push_scope(recorder)
            run_scenarios.record_job(recorder, home / "job")
            described = cloud.emulated.clients("ec2", REGION).describe_instances()
            instance = described["Reservations"][0]["Instances"][0]["InstanceId"]
            record_refused_upload(recorder, role, home)
            scope_scenarios.record_scope(recorder, role, instance)
            scope_scenarios.record_passing(recorder, role)
            scope_scenarios.record_deployers_scope(recorder, role)
            scope_scenarios.record_plain_http(recorder)
            record_single_calls(recorder, instance)
            run_scenarios.record_interruption(recorder, home / "taken")
            run_scenarios.record_deadlines(recorder, home)
            run_scenarios.record_guardian_scope(recorder)
            end_scenarios.record_ends(recorder, home)
        finally:
            cloud.emulated.stop()
    return evidence


@pytest.fixture(scope="session")
def verdicts(evidence: Evidence) -> list[Verdict]:
    """What became of every policy of the account without each single grant."""
    return judge_grants((*evidence.policies, *evidence.deployer), evidence.asked)
