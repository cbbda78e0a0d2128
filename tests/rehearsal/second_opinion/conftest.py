"""Two clouds that answer for AWS, deployed to by the same calls and read by the same calls."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from flyback.api.wiring import local_home, start_rehearsal
from flyback.infra import templates

ROOT = Path(__file__).resolve().parents[3]
MINISTACK = ROOT / ".tools" / "ministack" / "bin" / "ministack"  # `make test-all` installs it
REGION = "us-east-1"
ACCOUNT = "123456789012"
SESSION = boto3.Session()
POLLS = 200
IDS = re.compile(
    r"\b(vpc|vpc-cidr-assoc|subnet|sgr?|rtb|rtbassoc|igw|acl|eni|lt|vpce|pl|dopt)-[0-9a-f]{8,32}\b"
)
SUFFIX = re.compile(r"([-_])(?=[A-Z0-9]*[A-Z])[A-Z0-9]{12,13}\b")  # of a name that was made up
RANDOM = frozenset({"DnsName", "HostedZoneId", "InstanceProfileId", "RoleId"})
Document = dict[str, Any]


@dataclass
class Cloud:
    """An account behind a URL.

    Args:
        name: For messages.
        pause: Lets time pass for the account.
    """

    name: str
    endpoint: str
    access_key: str
    secret: str
    pause: Callable[[], None]
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client."""
        if service not in self._clients:
            self._clients[service] = SESSION.client(
                service,
                region_name=REGION,
                endpoint_url=self.endpoint,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    def deploy(self, stack: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Deploy core.yaml as it is shipped; what DescribeStacks says of it at the end."""
        self.client("cloudformation").create_stack(
            StackName=stack,
            TemplateBody=templates.read("core"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": text} for key, text in parameters.items()
            ],
            Tags=[{"Key": "flyback:name", "Value": "flyback"}],
        )
        return self._rested(stack)

    def delete(self, stack: str) -> None:
        """Delete a stack and wait until it is gone."""
        stack_id = self._stack(stack)["StackId"]
        self.client("cloudformation").delete_stack(StackName=stack)
        assert self._rested(stack_id)["StackStatus"] == "DELETE_COMPLETE"

    def resources(self, stack: str) -> list[Mapping[str, Any]]:
        """What the stack made."""
        answer = self.client("cloudformation").describe_stack_resources(StackName=stack)
        return list(answer["StackResources"])

    def _stack(self, stack: str) -> Mapping[str, Any]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return dict(found)

    def _rested(self, stack: str) -> Mapping[str, Any]:
        for _ in range(POLLS):
            found = self._stack(stack)
            if not found["StackStatus"].endswith("_IN_PROGRESS"):
                return found
            self.pause()
        pytest.fail(f"{self.name}: {stack} does not come to rest")


class Reader:
    """What one stack is, as the services describe it: comparable between clouds.

    Identifiers of the stack's own resources become `{LogicalId}`, what is random or a time becomes
    a placeholder, tags become maps, policies documents.
    """

    def __init__(self, cloud: Cloud, stack: Mapping[str, Any]) -> None:
        self._cloud = cloud
        self._stack = stack
        self._resources = cloud.resources(stack["StackName"])
        given = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
        self._name = given["Name"]
        names: dict[str, str] = {}
        for item in self._resources:  # a bucket's policy has the bucket's name
            name = item["PhysicalResourceId"]
            name = name.rsplit("/", 1)[-1] if name.startswith("arn:") else name
            names.setdefault(name, item["LogicalResourceId"])
        del names[self._name]  # the registry's is part of many others
        self._names = dict(sorted(names.items(), key=lambda item: -len(item[0])))

    def all(self) -> dict[str, Document]:
        """Logical id → what it is; the outputs stand under `Outputs`."""
        found = {
            item["LogicalResourceId"]: {
                "Type": item["ResourceType"],
                "Status": item["ResourceStatus"],
                "PhysicalId": self._ids(item["PhysicalResourceId"]),
                "Described": self.described(item),
            }
            for item in self._resources
        }
        found["Outputs"] = {
            item["OutputKey"]: self._plain(item["OutputValue"])
            for item in self._stack.get("Outputs", [])
        }
        return found

    def left(self) -> list[str]:
        """Logical ids of resources that can still be described."""
        return [
            item["LogicalResourceId"] for item in self._resources if not _gone(self.described(item))
        ]

    def described(self, item: Mapping[str, Any]) -> Any:
        """What a resource's own service says of it; None where there is no such thing."""
        read = READERS[item["ResourceType"]]
        try:
            return self._plain(read(self._cloud.client, item["PhysicalResourceId"]))
        except (ClientError, LookupError) as error:
            if is_absence(error):
                return None
            raise

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: "{random}" if key in RANDOM else self._plain(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return self._plain_list(value)
        if isinstance(value, str):
            is_document = value.startswith("{") and '"' in value
            return self._plain(json.loads(value)) if is_document else self._named(value)
        return "{time}" if isinstance(value, dt.datetime) else value

    def _plain_list(self, value: list[Any]) -> Any:
        """Tags as a map; everything else in an order that does not depend on who lists it."""
        if value and all(isinstance(item, Mapping) and _is_tag(item) for item in value):
            return self._plain({_word(item, "key"): _word(item, "value") for item in value})
        items = [self._plain(item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))

    def _named(self, text: str) -> str:
        text = text.replace(self._stack["StackId"], "{StackId}")
        for physical, logical in self._names.items():
            text = text.replace(physical, f"{{{logical}}}")
        return self._ids(text)

    def _ids(self, text: str) -> str:
        text = re.sub(rf"\b{self._name}(?=-)|(?<=/){self._name}\b", "{Name}", text)
        return SUFFIX.sub(r"\1{suffix}", IDS.sub(r"\1-{id}", text))


def is_absence(error: Exception) -> bool:
    """Whether an error says that there is no such thing."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        return "NotFound" in code or code.startswith("NoSuch") or code == "404"
    return isinstance(error, LookupError)


def _gone(described: Any) -> bool:
    states = {"deleted", "deleting"}
    return described is None or (
        isinstance(described, Mapping) and str(described.get("State", "")).lower() in states
    )


def _is_tag(item: Mapping[str, Any]) -> bool:
    return {key.lower() for key in item} == {"key", "value"}


def _word(item: Mapping[str, Any], name: str) -> Any:
    return next(text for key, text in item.items() if key.lower() == name)


def _answer(call: Callable[..., Mapping[str, Any]], **params: Any) -> Document:
    answer = dict(call(**params))
    answer.pop("ResponseMetadata", None)
    return answer


def _one(call: Callable[..., Mapping[str, Any]], key: str, **params: Any) -> Document:
    return dict(call(**params)[key][0])


def _optional(call: Callable[..., Mapping[str, Any]], key: str, **params: Any) -> Any:
    """A part that may lack; null then."""
    with contextlib.suppress(ClientError):
        return _answer(call, **params)[key]
    return None


def _bucket(client: Callable[[str], Any], name: str) -> Document:
    s3 = client("s3")
    s3.head_bucket(Bucket=name)
    return {
        "Versioning": _answer(s3.get_bucket_versioning, Bucket=name),
        "Encryption": _optional(
            s3.get_bucket_encryption, "ServerSideEncryptionConfiguration", Bucket=name
        ),
        "PublicAccessBlock": _optional(
            s3.get_public_access_block, "PublicAccessBlockConfiguration", Bucket=name
        ),
        "Ownership": _optional(s3.get_bucket_ownership_controls, "OwnershipControls", Bucket=name),
        "Lifecycle": _optional(s3.get_bucket_lifecycle_configuration, "Rules", Bucket=name),
        "Tags": _optional(s3.get_bucket_tagging, "TagSet", Bucket=name),
    }


def _bucket_policy(client: Callable[[str], Any], physical_id: str) -> Any:
    name = physical_id.removesuffix("-policy")
    return client("s3").get_bucket_policy(Bucket=name)["Policy"]


def _repository(client: Callable[[str], Any], name: str) -> Document:
    ecr = client("ecr")
    found = _one(ecr.describe_repositories, "repositories", repositoryNames=[name])
    found["lifecycle"] = _optional(
        ecr.get_lifecycle_policy, "lifecyclePolicyText", repositoryName=name
    )
    arn = found["repositoryArn"]
    found["tags"] = _optional(ecr.list_tags_for_resource, "tags", resourceArn=arn)
    return found


def _log_group(client: Callable[[str], Any], name: str) -> Document:
    logs = client("logs")
    found = _one(logs.describe_log_groups, "logGroups", logGroupNamePrefix=name)
    found["creationTime"] = "{time}"
    arn = found["arn"].removesuffix(":*")
    found["tags"] = _optional(logs.list_tags_for_resource, "tags", resourceArn=arn)
    return found


def _role(client: Callable[[str], Any], name: str) -> Document:
    iam = client("iam")
    found = dict(iam.get_role(RoleName=name)["Role"])
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    found["Attached"] = [item["PolicyArn"] for item in attached]
    found["Inline"] = {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    return found


def _profile(client: Callable[[str], Any], physical_id: str) -> Document:
    name = physical_id.rsplit("/", 1)[-1]
    found = dict(client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"])
    found["Roles"] = [role["RoleName"] for role in found["Roles"]]
    return found


def _vpc(client: Callable[[str], Any], vpc_id: str) -> Document:
    ec2 = client("ec2")
    found = _one(ec2.describe_vpcs, "Vpcs", VpcIds=[vpc_id])
    for name in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)
        found[name] = answer[name[0].upper() + name[1:]]["Value"]
    return found


def _attachment(client: Callable[[str], Any], physical_id: str) -> Document:
    vpc_id = physical_id.rsplit("|", 1)[-1]
    filters = [{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
    found = _one(client("ec2").describe_internet_gateways, "InternetGateways", Filters=filters)
    return {"Attachments": found["Attachments"]}


def _route(client: Callable[[str], Any], physical_id: str) -> Document:
    table, _, block = physical_id.partition("|")
    found = _one(client("ec2").describe_route_tables, "RouteTables", RouteTableIds=[table])
    return next(iter(r for r in found["Routes"] if r.get("DestinationCidrBlock") == block))


def _association(client: Callable[[str], Any], association_id: str) -> Document:
    for table in client("ec2").describe_route_tables()["RouteTables"]:
        for item in table["Associations"]:
            if item["RouteTableAssociationId"] == association_id:
                return dict(item)
    raise LookupError(association_id)


def _template(client: Callable[[str], Any], template_id: str) -> Document:
    ec2 = client("ec2")
    versions = ec2.describe_launch_template_versions(
        LaunchTemplateId=template_id, Versions=["$Latest"]
    )
    found = _one(ec2.describe_launch_templates, "LaunchTemplates", LaunchTemplateIds=[template_id])
    # moto's DescribeLaunchTemplates knows only the tags of its creation
    filters = [{"Name": "resource-id", "Values": [template_id]}]
    found["Tags"] = [
        {"Key": item["Key"], "Value": item["Value"]}
        for item in ec2.describe_tags(Filters=filters)["Tags"]
    ]
    return {"Template": found, "Version": versions["LaunchTemplateVersions"][0]}


def _topic(client: Callable[[str], Any], arn: str) -> Document:
    sns = client("sns")
    found = dict(sns.get_topic_attributes(TopicArn=arn)["Attributes"])
    found["Tags"] = _optional(sns.list_tags_for_resource, "Tags", ResourceArn=arn)
    return found


def _schedule_group(client: Callable[[str], Any], physical_id: str) -> Document:
    scheduler = client("scheduler")
    found = _answer(scheduler.get_schedule_group, Name=physical_id.rsplit("/", 1)[-1])
    arn = found["Arn"]
    found["Tags"] = _optional(scheduler.list_tags_for_resource, "Tags", ResourceArn=arn)
    return found


def _described(method: str, key: str, argument: str) -> Callable[[Callable[[str], Any], str], Any]:
    def read(client: Callable[[str], Any], physical_id: str) -> Document:
        return _one(getattr(client("ec2"), method), key, **{argument: [physical_id]})

    return read


READERS: dict[str, Callable[[Callable[[str], Any], str], Any]] = {
    "AWS::EC2::InternetGateway": _described(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayIds"
    ),
    "AWS::EC2::LaunchTemplate": _template,
    "AWS::EC2::Route": _route,
    "AWS::EC2::RouteTable": _described("describe_route_tables", "RouteTables", "RouteTableIds"),
    "AWS::EC2::SecurityGroup": _described("describe_security_groups", "SecurityGroups", "GroupIds"),
    "AWS::EC2::Subnet": _described("describe_subnets", "Subnets", "SubnetIds"),
    "AWS::EC2::SubnetRouteTableAssociation": _association,
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::VPCEndpoint": _described("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointIds"),
    "AWS::EC2::VPCGatewayAttachment": _attachment,
    "AWS::ECR::Repository": _repository,
    "AWS::IAM::InstanceProfile": _profile,
    "AWS::IAM::Role": _role,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Topic": _topic,
    "AWS::Scheduler::ScheduleGroup": _schedule_group,
}


# The owner's: what was deployed is looked at in ways that no deployer needs.
OWNER = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@pytest.fixture
def rehearsed() -> Iterator[Cloud]:
    """Our rehearsal."""
    folder = local_home() / "rehearsal" / "cloud"
    folder.mkdir(parents=True)
    started = start_rehearsal(folder, region=REGION, policy=OWNER)
    assert started.emulated is not None
    keys = started.emulated.environment()
    yield Cloud(
        name="flyback",
        endpoint=keys["AWS_ENDPOINT_URL"],
        access_key=keys["AWS_ACCESS_KEY_ID"],
        secret=keys["AWS_SECRET_ACCESS_KEY"],
        pause=lambda: started.clock.sleep(30),
    )
    started.emulated.stop()


@pytest.fixture
def ministack(tmp_path: Path) -> Iterator[Cloud]:
    """The second opinion, in a process and an environment of its own, on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "ministack.log"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(MINISTACK)], env=environment, stdout=output, stderr=output, cwd=tmp_path
        )

    def pause() -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            pytest.fail(f"ministack ended: {log.read_text()}")

    try:
        for _ in range(POLLS):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            pause()
        yield Cloud(
            name="ministack",
            endpoint=f"http://127.0.0.1:{port}",
            access_key=ACCOUNT,  # which it takes for the account's number
            secret="anything",
            pause=pause,
        )
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def reader() -> type[Reader]:
    """Reads a stack."""
    return Reader
