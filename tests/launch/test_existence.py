"""What the tagging API remembers is looked up with the service whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyback.aws.session import Access, Session
from flyback.launch.existence import is_there

KEYS = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
HERE = "us-east-1:123456789012"


@pytest.fixture
def session() -> Iterator[Session]:
    """A session on an empty account."""
    with mock_aws():
        yield Session(Access(region="us-east-1", access_key="k", secret_key="s"))


def _client(service: str) -> Any:
    return boto3.client(service, **KEYS)


def _ec2(kind: str, identifier: str) -> str:
    return f"arn:aws:ec2:{HERE}:{kind}/{identifier}"


def _network() -> tuple[str, str]:
    vpc = _client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = _client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]
    return vpc, subnet["SubnetId"]


Planted = tuple[str, Callable[[], object]]


def _vpc() -> Planted:
    vpc = _client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    return _ec2("vpc", vpc), lambda: _client("ec2").delete_vpc(VpcId=vpc)


def _subnet() -> Planted:
    _, subnet = _network()
    return _ec2("subnet", subnet), lambda: _client("ec2").delete_subnet(SubnetId=subnet)


def _route_table() -> Planted:
    vpc, _ = _network()
    table = _client("ec2").create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    gone = lambda: _client("ec2").delete_route_table(RouteTableId=table)  # noqa: E731  # as others
    return _ec2("route-table", table), gone


def _security_group() -> Planted:
    vpc, _ = _network()
    group = _client("ec2").create_security_group(VpcId=vpc, GroupName="g", Description="g")
    name = group["GroupId"]
    return _ec2("security-group", name), lambda: _client("ec2").delete_security_group(GroupId=name)


def _gateway() -> Planted:
    made = _client("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    return (
        _ec2("internet-gateway", made),
        lambda: _client("ec2").delete_internet_gateway(InternetGatewayId=made),
    )


def _endpoint() -> Planted:
    vpc, _ = _network()
    service = "com.amazonaws.us-east-1.s3"
    made = _client("ec2").create_vpc_endpoint(
        VpcId=vpc, ServiceName=service, VpcEndpointType="Gateway"
    )
    name = made["VpcEndpoint"]["VpcEndpointId"]
    return _ec2("vpc-endpoint", name), lambda: _client("ec2").delete_vpc_endpoints(
        VpcEndpointIds=[name]
    )


def _template() -> Planted:
    made = _client("ec2").create_launch_template(
        LaunchTemplateName="t", LaunchTemplateData={"InstanceType": "c5.large"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    return _ec2("launch-template", made), lambda: _client("ec2").delete_launch_template(
        LaunchTemplateId=made
    )


def _volume() -> Planted:
    made = _client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    return _ec2("volume", made), lambda: _client("ec2").delete_volume(VolumeId=made)


def _interface() -> Planted:
    _, subnet = _network()
    made = _client("ec2").create_network_interface(SubnetId=subnet)["NetworkInterface"]
    name = made["NetworkInterfaceId"]
    return _ec2("network-interface", name), lambda: _client("ec2").delete_network_interface(
        NetworkInterfaceId=name
    )


def _machine() -> Planted:
    ec2 = _client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    return _ec2("instance", made), lambda: ec2.terminate_instances(InstanceIds=[made])


def _bucket() -> Planted:
    _client("s3").create_bucket(Bucket="flyback-data")
    _client("s3").create_bucket(Bucket="flyback-data-of-another")
    return "arn:aws:s3:::flyback-data", lambda: _client("s3").delete_bucket(Bucket="flyback-data")


def _group() -> Planted:
    logs = _client("logs")
    logs.create_log_group(logGroupName="/flyback/a")
    logs.create_log_group(logGroupName="/flyback/a/b")
    arn = f"arn:aws:logs:{HERE}:log-group:/flyback/a"
    return arn, lambda: logs.delete_log_group(logGroupName="/flyback/a")


def _repository() -> Planted:
    ecr = _client("ecr")
    arn = ecr.create_repository(repositoryName="team/flyback")["repository"]["repositoryArn"]
    return arn, lambda: ecr.delete_repository(repositoryName="team/flyback")


def _stack() -> Planted:
    service = _client("cloudformation")
    body = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    arn = service.create_stack(StackName="flyback-core", TemplateBody=body)["StackId"]
    return arn, lambda: service.delete_stack(StackName="flyback-core")


KINDS = (
    *(_vpc, _subnet, _route_table, _security_group, _gateway, _endpoint, _template),
    *(_volume, _interface, _machine, _bucket, _group, _repository, _stack),
)


@pytest.mark.parametrize("plant", KINDS)
def test_a_thing_is_there_until_it_is_deleted(
    session: Session, plant: Callable[[], Planted]
) -> None:
    """Its own service says so, whatever else the name begins."""
    arn, delete = plant()
    assert is_there(session, arn)
    delete()
    assert not is_there(session, arn)


def test_what_nobody_can_ask_for_counts_as_there(session: Session) -> None:
    """A kind without a question is reported rather than forgotten; an instant fleet is a record."""
    assert is_there(session, f"arn:aws:neptune:{HERE}:cluster:x")
    assert not is_there(session, _ec2("fleet", "fleet-1"))
