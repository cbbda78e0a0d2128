"""An emulated account (moto alone), two simple clocks and the engine in front of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from moto import mock_aws

from flyback.rehearsal.call import AwsError, Call
from flyback.rehearsal.cloudformation import CloudFormationGap
from flyback.spec.clock import Clock

ACCOUNT = "123456789012"
START = 1_700_000_000.0


class InlineClock:
    """Simulated time where spawned work runs at once; with `hold`, only when `run` says so."""

    def __init__(self) -> None:
        self.time = START
        self.hold = False
        self.held: list[Callable[[Clock], None]] = []
        self.wakes: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += max(seconds, 0.0)
        for action in self.wakes:
            action()
        self.wakes.clear()

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        raise NotImplementedError

    def spawn(self, name: str, target: Callable[[Clock], None]) -> None:
        assert name.startswith("cloudformation ")
        if self.hold:
            self.held.append(target)
        else:
            target(self)

    def run(self) -> None:
        """Do what was held."""
        while self.held:
            self.held.pop(0)(self)


@cache
def model() -> ServiceModel:
    """CloudFormation's API as botocore knows it."""
    return ServiceModel(Loader().load_service_model("cloudformation", "service-2"))


@cache
def aws(service: str, region: str) -> Any:
    """A client of the account; made once, for making one takes longer than a test."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, region_name=region, **keys)


class Cloud:
    """One account and region behind the engine; every answer is checked against botocore."""

    def __init__(self, region: str = "us-east-1", clients: Callable[[str, str], Any] = aws) -> None:
        self.region = region
        self.clock = InlineClock()
        self.gap = CloudFormationGap(clients, self.clock)
        self._calls = 0

    @staticmethod
    def resource(kind: str, **properties: Any) -> dict[str, Any]:
        """One resource of a template."""
        return {"Type": kind, "Properties": properties}

    @staticmethod
    def body(**resources: Any) -> str:
        """A template of these resources, as JSON."""
        return json.dumps({"Resources": resources})

    @staticmethod
    def tags_of(items: Any) -> dict[str, str]:
        """Tags as a mapping, without CloudFormation's own."""
        found = {item["Key"]: item["Value"] for item in items}
        return {key: text for key, text in found.items() if not key.startswith("aws:")}

    def client(self, service: str) -> Any:
        """The account as a user sees it."""
        return aws(service, self.region)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """One request; its answer fits botocore's output shape."""
        self._calls += 1
        shape = model().operation_model(operation)
        if shape.input_shape is not None:
            report = ParamValidator().validate(params, shape.input_shape)
            assert not report.has_errors(), report.generate_report()
        answer = self.gap.answer(
            Call(
                number=self._calls,
                service="cloudformation",
                operation=operation,
                region=self.region,
                account=ACCOUNT,
                principal="arn:aws:iam::123456789012:user/tester",
                params=params,
            ),
            lambda _call: pytest.fail("nothing is moto's"),
        )
        if shape.output_shape is not None:
            report = ParamValidator().validate(answer, shape.output_shape)
            assert not report.has_errors(), report.generate_report()
        return dict(answer)

    def refused(self, operation: str, **params: Any) -> str:
        """The error of one request, as `Code: sentence`."""
        with pytest.raises(AwsError) as caught:
            self.call(operation, **params)
        return str(caught.value)

    def create(self, body: str, name: str = "demo", **more: Any) -> str:
        """Create a stack and let it come to rest; its status."""
        self.call("CreateStack", StackName=name, TemplateBody=body, **more)
        return self.status(name)

    def update(self, body: str, name: str = "demo", **more: Any) -> str:
        """Update a stack and let it come to rest; its status."""
        self.call("UpdateStack", StackName=name, TemplateBody=body, **more)
        return self.status(name)

    def stack(self, name: str = "demo") -> dict[str, Any]:
        """DescribeStacks of one stack."""
        return dict(self.call("DescribeStacks", StackName=name)["Stacks"][0])

    def status(self, name: str = "demo") -> str:
        """Its status; a rolled-back `DELETE` leaves none."""
        return str(self.stack(name)["StackStatus"])

    def outputs(self, name: str = "demo") -> dict[str, str]:
        """Its outputs."""
        return {item["OutputKey"]: item["OutputValue"] for item in self.stack(name)["Outputs"]}

    def events(self, name: str = "demo") -> list[tuple[str, str, str]]:
        """Its history, oldest first: who, status, reason."""
        found = self.call("DescribeStackEvents", StackName=name)["StackEvents"]
        return [
            (
                item["LogicalResourceId"],
                item["ResourceStatus"],
                item.get("ResourceStatusReason", ""),
            )
            for item in reversed(found)
        ]

    def physical(self, logical_id: str, name: str = "demo") -> str:
        """Physical id of a resource."""
        answer = self.call("DescribeStackResource", StackName=name, LogicalResourceId=logical_id)
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def inventory(self) -> dict[str, list[str]]:
        """Everything in the account of the kinds that the engine makes.

        Without network ACLs: moto leaves a deleted VPC's default one behind, which no request that
        AWS would take removes.
        """
        ec2, iam, ssm = self.client("ec2"), self.client("iam"), self.client("ssm")
        endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        tables = ec2.describe_route_tables()["RouteTables"]
        topics = self.client("sns")
        found = {
            "bucket": [item["Name"] for item in self.client("s3").list_buckets()["Buckets"]],
            "endpoint": [item["VpcEndpointId"] for item in endpoints if item["State"] != "deleted"],
            "gateway": [
                item["InternetGatewayId"]
                for item in ec2.describe_internet_gateways()["InternetGateways"]
            ],
            "group": [item["GroupId"] for item in ec2.describe_security_groups()["SecurityGroups"]],
            "log group": [
                item["logGroupName"]
                for item in self.client("logs").describe_log_groups()["logGroups"]
            ],
            "parameter": [item["Name"] for item in ssm.describe_parameters()["Parameters"]],
            "policy": [item["Arn"] for item in iam.list_policies(Scope="Local")["Policies"]],
            "profile": [
                item["InstanceProfileName"]
                for item in iam.list_instance_profiles()["InstanceProfiles"]
            ],
            "repository": [
                item["repositoryName"]
                for item in self.client("ecr").describe_repositories()["repositories"]
            ],
            "role": [item["RoleName"] for item in iam.list_roles()["Roles"]],
            "route": [f"{item['RouteTableId']} {item['Routes']}" for item in tables],
            "subnet": [item["SubnetId"] for item in ec2.describe_subnets()["Subnets"]],
            "subscription": [
                item["SubscriptionArn"] for item in topics.list_subscriptions()["Subscriptions"]
            ],
            "template": [
                item["LaunchTemplateId"]
                for item in ec2.describe_launch_templates()["LaunchTemplates"]
            ],
            "topic": [item["TopicArn"] for item in topics.list_topics()["Topics"]],
            "vpc": [item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"]],
        }
        return {kind: sorted(names) for kind, names in found.items()}


@pytest.fixture
def account() -> Iterator[None]:
    """An empty emulated account."""
    with mock_aws():
        yield


@pytest.fixture
def cloud(account: None) -> Cloud:  # noqa: ARG001  # the account must stand first
    """The engine in front of an empty account in us-east-1."""
    return Cloud()


@pytest.fixture
def abroad(account: None) -> Cloud:  # noqa: ARG001  # the account must stand first
    """The engine in front of an empty account in eu-central-1."""
    return Cloud("eu-central-1")


@pytest.fixture
def make_cloud() -> Callable[[], Cloud]:
    """More than one engine in front of the same account."""
    return Cloud
