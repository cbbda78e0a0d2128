"""The stack's tags are on every taggable resource, from its creation and after each update."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.schema import resource_schema

CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "ec2.amazonaws.com"},
        }
    ],
}
VPC = {"VpcId": {"Ref": "Vpc"}}
# Logical id → type and least properties: one resource of every type that takes tags.
TAGGABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "Bucket": ("AWS::S3::Bucket", {"BucketName": "tagged-bucket"}),
    "Endpoint": ("AWS::EC2::VPCEndpoint", {"ServiceName": "com.amazonaws.us-east-1.s3", **VPC}),
    "Gateway": ("AWS::EC2::InternetGateway", {}),
    "Group": ("AWS::EC2::SecurityGroup", {"GroupDescription": "tagged", **VPC}),
    "Logs": ("AWS::Logs::LogGroup", {"LogGroupName": "/tagged"}),
    "Parameter": ("AWS::SSM::Parameter", {"Name": "/tagged", "Type": "String", "Value": "v"}),
    "Provider": ("AWS::IAM::OIDCProvider", {"Url": "https://example.com", "ClientIdList": ["a"]}),
    "Repository": ("AWS::ECR::Repository", {"RepositoryName": "tagged"}),
    "Role": ("AWS::IAM::Role", {"AssumeRolePolicyDocument": TRUST}),
    "Subnet": ("AWS::EC2::Subnet", {"CidrBlock": "10.0.0.0/24", **VPC}),
    "Table": ("AWS::EC2::RouteTable", VPC),
    "Topic": ("AWS::SNS::Topic", {}),
    "Vpc": ("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16"}),
}
# Tried where their services are emulated: tests/rehearsal/automation/test_resources.py.
ELSEWHERE = {"AWS::Events::Rule", "AWS::Lambda::Function", "AWS::Scheduler::ScheduleGroup"}


def stack(value: str) -> list[dict[str, str]]:
    """Two tags of the stack; `Gone` is taken off by the second."""
    second = {"Key": "Gone", "Value": "x"} if value == "first" else {"Key": "New", "Value": "y"}
    return [{"Key": "Project", "Value": value}, second]


def tags(cloud: Any, logical_id: str) -> dict[str, str]:
    """What a resource's own service says, without CloudFormation's own."""
    kind, physical = TAGGABLE[logical_id][0], cloud.physical(logical_id)
    if kind.startswith("AWS::EC2::"):
        filters = [{"Name": "resource-id", "Values": [physical]}]
        return dict(cloud.tags_of(cloud.client("ec2").describe_tags(Filters=filters)["Tags"]))
    if kind == "AWS::Logs::LogGroup":
        found = cloud.client("logs").list_tags_log_group(logGroupName=physical)["tags"]
        return {key: text for key, text in found.items() if not key.startswith("aws:")}
    account = "123456789012"
    arn = f"arn:aws:ecr:us-east-1:{account}:repository/{physical}"
    of_parameter = {"ResourceType": "Parameter", "ResourceId": physical}
    calls: dict[str, tuple[str, str, dict[str, str], str]] = {
        "AWS::S3::Bucket": ("s3", "get_bucket_tagging", {"Bucket": physical}, "TagSet"),
        "AWS::SSM::Parameter": ("ssm", "list_tags_for_resource", of_parameter, "TagList"),
        "AWS::ECR::Repository": ("ecr", "list_tags_for_resource", {"resourceArn": arn}, "tags"),
        "AWS::IAM::OIDCProvider": (
            "iam",
            "list_open_id_connect_provider_tags",
            {"OpenIDConnectProviderArn": physical},
            "Tags",
        ),
        "AWS::IAM::Role": ("iam", "list_role_tags", {"RoleName": physical}, "Tags"),
        "AWS::SNS::Topic": ("sns", "list_tags_for_resource", {"ResourceArn": physical}, "Tags"),
    }
    service, method, given, key = calls[kind]
    return dict(cloud.tags_of(getattr(cloud.client(service), method)(**given)[key]))


def test_every_taggable_type_is_among_them() -> None:
    """The list below is complete: by AWS's schemas no other emulated type takes tags."""
    taggable = {
        kind
        for kind in HANDLERS
        if (schema := resource_schema("us-east-1", kind)) is not None and schema.taggable
    }
    assert {kind for kind, _ in TAGGABLE.values()} | ELSEWHERE == taggable


def test_the_stacks_tags_are_on_all_of_them(cloud: Any) -> None:
    """Put on with the creation, exchanged by an update of tags alone, nothing replaced."""
    declared = {name: cloud.resource(kind, **given) for name, (kind, given) in TAGGABLE.items()}
    body = cloud.body(**declared)
    created = cloud.create(body, Tags=stack("first"), Capabilities=CAPABILITIES)
    assert created == "CREATE_COMPLETE", cloud.events()
    for name in TAGGABLE:
        assert tags(cloud, name) == {"Project": "first", "Gone": "x"}, name
    before = {name: cloud.physical(name) for name in TAGGABLE}
    updated = cloud.update(body, Tags=stack("second"), Capabilities=CAPABILITIES)
    assert updated == "UPDATE_COMPLETE", cloud.events()
    for name in TAGGABLE:
        assert tags(cloud, name) == {"Project": "second", "New": "y"}, name
    assert {name: cloud.physical(name) for name in TAGGABLE} == before
