"""An emulated cloud with roles, a way to make functions, and a client's place in its time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.market import Conditions

REGION = "us-east-1"
ACCOUNT = "123456789012"


class Hosting:
    """Machines that exist in the API only; it writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def boot(self, instance_id: str, region: str) -> None:
        assert region == REGION
        self.asked.append(("boot", instance_id))

    def halt(self, instance_id: str) -> None:
        self.asked.append(("halt", instance_id))

    def notice(self, instance_id: str, action: str, at: float) -> None:
        assert at > 0
        self.asked.append(("notice", instance_id, action))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RehearsalCloud]:
    held = RehearsalCloud(tmp_path, seed=7)
    held.conditions = Conditions.calm()
    with held as cloud:
        cloud.machines.host = Hosting()
        yield cloud


@pytest.fixture
def passing(cloud: RehearsalCloud) -> Iterator[Callable[[float], None]]:
    """Lets simulated seconds pass."""
    participant = cloud.clock.participant("test")
    participant.join()
    yield participant.sleep
    participant.leave()


@pytest.fixture
def client(cloud: RehearsalCloud) -> Callable[[str], Any]:
    """boto3 clients of the account."""
    return lambda service: cloud.clients(service, REGION)


@pytest.fixture
def role(client: Callable[[str], Any]) -> Callable[[str, str], str]:
    """Makes a role that a service may take, with what its tests need; the ARN."""
    grants = {
        "lambda": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        "scheduler": ["ec2:TerminateInstances", "lambda:InvokeFunction"],
    }

    def make(name: str, service: str) -> str:
        statement = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": f"{service}.amazonaws.com"},
        }
        trust = {"Version": "2012-10-17", "Statement": [statement]}
        made = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        if service in grants:
            allowed = {"Effect": "Allow", "Action": grants[service], "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return str(made["Role"]["Arn"])

    return make


def zipped(**modules: str) -> bytes:
    """A deployment package of these modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


@pytest.fixture
def package() -> Callable[..., bytes]:
    """Makes a deployment package."""
    return zipped


@pytest.fixture
def function(
    client: Callable[[str], Any], role: Callable[[str, str], str]
) -> Callable[..., dict[str, Any]]:
    """Makes a function `NAME` whose module `code` is given."""
    arn = role("worker", "lambda")

    def make(name: str, code: str, **settings: Any) -> dict[str, Any]:
        made = client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="code.handle",
            Role=arn,
            Code={"ZipFile": zipped(code=code)},
            **settings,
        )
        return dict(made)

    return make
