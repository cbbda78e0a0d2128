"""Runs that use what runs may use: data and secrets, interruptions, deadlines, the guardian."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, start
from flyback.aws.ec2 import GONE
from flyback.launch.fleet import RUN_TAG
from flyback.launch.progress import silent
from flyback.rehearsal.transport import Caller

REGION, ACCOUNT, NAME = "us-east-1", "123456789012", "trial"  # as conftest.py
OPTIONS = Options(cloud="rehearsal", name=NAME)
_DATA = f"{NAME}-data-{ACCOUNT}-{REGION}"
_OUTPUTS = f"{NAME}-outputs-{ACCOUNT}-{REGION}"

# A job that takes what jobs can take: files sent along, data of one's own, secrets.
_JOB = {
    "name": "takes-all",
    "workdir": "work",
    "command": ["sh", "job.sh"],
    "engine": "ec2",
    "inputs": [
        {"source": f"s3://{_DATA}/one.txt", "path": "one.txt"},
        {"source": f"s3://{_DATA}/folder", "path": "folder"},
    ],
    "secrets": {"TOKEN": "ssm:/flyback/token", "KEY": "secretsmanager:flyback/key"},
    "resources": {"count": 0, "vcpus": 2, "memory_gib": 4},
}
# A second attempt looks for checkpoints; S3 says that there is none to those alone who may list.
_ABSENT = ("s3:ListBucket",)
_SCRIPT = 'test "$TOKEN$KEY" = open-sesame && cat one.txt folder/two.txt\n'


def _job(folder: Path) -> Path:
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "job.sh").write_text(_SCRIPT)
    path = folder / "job.json"
    path.write_text(json.dumps(_JOB))
    return path


def record_job(recorder: Any, folder: Path) -> None:
    """The job that takes all, from launch to certificate."""
    plant(recorder)
    with recorder.scenario("a job with data and secrets"):
        run_job(recorder, folder)


def plant(recorder: Any) -> None:
    """The data and the secrets that the job takes."""
    clients = recorder.emulated.clients
    clients("s3", REGION).put_object(Bucket=_DATA, Key="one.txt", Body=b"one\n")
    clients("s3", REGION).put_object(Bucket=_DATA, Key="folder/two.txt", Body=b"two\n")
    clients("ssm", REGION).put_parameter(Name="/flyback/token", Value="open-", Type="SecureString")
    clients("secretsmanager", REGION).create_secret(Name="flyback/key", SecretString="sesame")


def run_job(recorder: Any, folder: Path) -> None:
    """The job that takes all, where its data and secrets are there already."""
    run = start(prepare(_job(folder)), recorder.cloud, OPTIONS, silent)
    marker = run.wait()
    assert marker.kind == "SUCCESS", marker
    certificate = run.certificate()
    assert certificate is not None
    assert certificate.clean, certificate


def record_interruption(recorder: Any, folder: Path) -> None:
    """The second run of a capped day: EC2 takes its machine, the guardian goes on with another."""
    with recorder.scenario("an interrupted run goes on", _ABSENT):
        options = dataclasses.replace(OPTIONS, run_id="taken", max_usd_per_day=50.0)
        run = start(prepare(_job(folder)), recorder.cloud, options, silent)
        recorder.emulated.machines.reclaim(run.launch.attempts[0].instance_id)
        recorder.cloud.clock.sleep(120)
        marker = run.wait()
        assert (marker.kind, marker.attempt) == ("SUCCESS", 2), marker


class Dead:
    """A host some of whose machines never come up.

    Args:
        host: Of all others.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._dead: set[str] = set()
        self._booting = False

    @contextmanager
    def at_boot(self) -> Iterator[None]:
        """Those that boot while this lasts are dead."""
        self._booting = True
        yield
        self._booting = False

    def boot(self, instance_id: str, region: str) -> None:
        if self._booting:
            self._dead.add(instance_id)
        else:
            self._host.boot(instance_id, region)

    def halt(self, instance_id: str) -> None:
        if instance_id not in self._dead:
            self._host.halt(instance_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def record_deadlines(recorder: Any, folder: Path) -> None:
    """Machines that never come up: the guardian ends one, its direct schedule another."""
    clock, emulated = recorder.cloud.clock, recorder.emulated
    dead = emulated.machines.host = Dead(emulated.machines.host)
    guardian = emulated.clients("lambda", REGION)

    def sweep() -> None:
        guardian.invoke(
            FunctionName=f"{NAME}-guardian",
            InvocationType="Event",
            Payload=b'{"flyback": "sweep"}',
        )
        clock.sleep(60)

    def hung(run_id: str) -> Run:
        options = dataclasses.replace(OPTIONS, run_id=run_id)
        with dead.at_boot():
            run = start(prepare(_job(folder / run_id)), recorder.cloud, options, silent)
            clock.sleep(20)
        return run

    with recorder.scenario("a hung machine, an extension that was cut off", _ABSENT):
        run = hung("hung")
        run.extend(0.1)
        key = "leases/hung/extension.json"
        cut = json.dumps({"at": clock.now(), "deadline": run.launch.deadline + 60}).encode()
        emulated.clients("s3", REGION).put_object(Bucket=_OUTPUTS, Key=key, Body=cut)
        clock.sleep(400)
        sweep()
        clock.sleep(1000)
        sweep()
        emulated.functions.broken = lambda _: True
        assert run.wait().attempt == 2
    with recorder.scenario("a hung machine without a guardian"):
        run = hung("alone")
        clock.sleep(run.launch.deadline - clock.now() + 120)
        ended = recorder.cloud.session.ec2.instances(RUN_TAG, "alone")
        assert {item.state for item in ended} <= GONE
        emulated.functions.broken = lambda _: False
        sweep()
        assert run.wait().kind == "FAILURE"


def record_guardian_scope(recorder: Any) -> None:
    """What the guardian and the schedules must not do."""
    ec2 = recorder.emulated.clients("ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    theirs = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    machine = theirs["Instances"][0]["InstanceId"]
    guardian, ender = recorder.role("GuardianRole"), recorder.role("SchedulerTerminateRole")
    machines = recorder.role("InstanceRole")
    mine = recorder.as_role(guardian, "ec2", f"{NAME}-guardian", "lambda")
    direct = recorder.as_role(ender, "ec2", "end", "scheduler")
    scheduler = recorder.as_role(guardian, "scheduler", f"{NAME}-guardian", "lambda")
    template = ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    tagged = [
        {"ResourceType": kind, "Tags": [{"Key": "flyback:name", "Value": NAME}]}
        for kind in ("instance", "volume")
    ]
    iam = recorder.emulated.clients("iam", REGION)
    iam.create_instance_profile(InstanceProfileName="theirs")
    iam.add_role_to_instance_profile(
        InstanceProfileName="theirs", RoleName=ender.rpartition("/")[2]
    )
    launch = {
        "LaunchTemplate": {"LaunchTemplateId": template},
        "ImageId": image,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
    }
    attempts: dict[tuple[str, str], Callable[[], Any]] = {
        ("guardian ends another's machine", "ec2:TerminateInstances"): lambda: (
            mine.terminate_instances(InstanceIds=[machine])
        ),
        ("schedule ends another's machine", "ec2:TerminateInstances"): lambda: (
            direct.terminate_instances(InstanceIds=[machine])
        ),
        ("guardian launches without its tag", "ec2:RunInstances instance/*"): lambda: (
            mine.run_instances(**launch)
        ),
        ("guardian tags what is there", "ec2:CreateTags"): lambda: mine.create_tags(
            Resources=[vpc], Tags=[{"Key": "flyback:name", "Value": NAME}]
        ),
        ("guardian gives a machine the schedules' role", "iam:PassRole"): lambda: (
            mine.run_instances(
                **launch, TagSpecifications=tagged, IamInstanceProfile={"Name": "theirs"}
            )
        ),
        ("guardian gives a schedule the machines' role", "iam:PassRole"): lambda: (
            scheduler.create_schedule(
                Name="x",
                GroupName=f"flyback-{NAME}",
                ScheduleExpression="at(2030-01-01T00:00:00)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target={
                    "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
                    "RoleArn": machines,
                },
            )
        ),
    }
    for (name, refused), call in attempts.items():
        recorder.attempt(name, refused, call)
    _take_the_schedules_roles(recorder)
    _invoke_the_guardian(recorder)
    iam.remove_role_from_instance_profile(
        InstanceProfileName="theirs", RoleName=ender.rpartition("/")[2]
    )
    iam.delete_instance_profile(InstanceProfileName="theirs")
    ec2.terminate_instances(InstanceIds=[machine])


def _take_the_schedules_roles(recorder: Any) -> None:
    """Whoever is not the deployment's own schedule group, part by part of its ARN."""
    own = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/flyback-{NAME}"
    for who, source in {
        "another group": own.replace(f"flyback-{NAME}", "theirs"),
        "a group whose name begins alike": f"{own}-2",
        "what is no ARN": f"x{own}",
        "another partition's group": own.replace("arn:aws:", "arn:aws-cn:"),
        "another service": own.replace(":scheduler:", ":events:"),
        "another region's group": own.replace(REGION, "eu-west-1"),
        "another account's group": own.replace(ACCOUNT, "210987654321"),
        "a schedule called alike": own.replace("schedule-group/", "schedule/"),
    }.items():
        sts = recorder.emulated.clients.of(
            "sts", REGION, Caller(via="scheduler", source_arn=source)
        )
        for named in ("SchedulerTerminateRole", "SchedulerInvokeRole"):
            role = recorder.role(named)
            recorder.attempt(
                f"{who} takes {named}",
                "sts:AssumeRole",
                lambda sts=sts, role=role: sts.assume_role(RoleArn=role, RoleSessionName="theirs"),
            )


def _invoke_the_guardian(recorder: Any) -> None:
    """Whoever is not the deployment's own rule, part by part of its ARN."""
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{NAME}-ends"
    for who, via, source in (
        ("another rule", "events", rule.replace(NAME, "theirs")),
        ("a rule whose name begins alike", "events", f"{rule}-2"),
        ("another partition's rule", "events", rule.replace("arn:aws:", "arn:aws-cn:")),
        ("another region's rule", "events", rule.replace(REGION, "eu-west-1")),
        ("another account's rule", "events", rule.replace(ACCOUNT, "210987654321")),
        ("what is called like the rule", "events", rule.replace(":rule/", ":event-bus/")),
        ("no rule at all", "events", ""),
        ("another service, in the rule's name,", "s3", rule),
    ):
        functions = recorder.emulated.clients.of(
            "lambda", REGION, Caller(via=via, source_arn=source)
        )
        recorder.attempt(
            f"{who} invokes the guardian",
            "lambda:InvokeFunction",
            lambda functions=functions: functions.invoke(
                FunctionName=f"{NAME}-guardian", InvocationType="Event", Payload=b"{}"
            ),
        )
