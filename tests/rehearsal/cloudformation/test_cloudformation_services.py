"""Logs, IAM, SSM, SNS and launch templates, read back from the account through boto3."""

from __future__ import annotations

import base64
import json
from typing import Any

STACK_TAGS = [{"Key": "Project", "Value": "flyback"}, {"Key": "Owner", "Value": "stack"}]
OWN = '[{"Key": "Owner", "Value": "own"}]'
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "ec2.amazonaws.com"}}]}'
)
POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", '
    '"Resource": "*"}]}'
)


def test_a_log_group_keeps_for_as_long_as_declared(cloud: Any) -> None:
    """Retention set, changed, taken off; tags of the stack, its own and CloudFormation's."""

    def template(**more: Any) -> str:
        return cloud.body(G=cloud.resource("AWS::Logs::LogGroup", LogGroupName="/g", **more))

    logs = cloud.client("logs")

    def found() -> dict[str, Any]:
        return dict(logs.describe_log_groups(logGroupNamePrefix="/g")["logGroups"][0])

    cloud.create(template(RetentionInDays="30", Tags=json.loads(OWN)), Tags=STACK_TAGS)
    assert found()["retentionInDays"] == 30
    arn = found()["logGroupArn"]
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {
        "Project": "flyback",
        "Owner": "own",
        "aws:cloudformation:logical-id": "G",
        "aws:cloudformation:stack-id": cloud.stack()["StackId"],
        "aws:cloudformation:stack-name": "demo",
    }
    cloud.update(template(RetentionInDays=7), Tags=STACK_TAGS[:1])
    assert found()["retentionInDays"] == 7
    assert "Owner" not in logs.list_tags_for_resource(resourceArn=arn)["tags"]
    cloud.update(template())
    assert "retentionInDays" not in found()


def test_a_role_has_its_policies_boundary_and_tags(cloud: Any) -> None:
    """Inline, attached, boundary, path, duration, tags; all changed in place."""
    managed = {
        "P": cloud.resource(
            "AWS::IAM::ManagedPolicy", ManagedPolicyName="p", PolicyDocument=POLICY
        ),
        "Q": cloud.resource(
            "AWS::IAM::ManagedPolicy", ManagedPolicyName="q", PolicyDocument=POLICY
        ),
    }
    role = cloud.resource(
        "AWS::IAM::Role",
        RoleName="r",
        Path="/team/",
        Description="first",
        MaxSessionDuration="7200",
        AssumeRolePolicyDocument=json.loads(TRUST),
        PermissionsBoundary={"Ref": "P"},
        ManagedPolicyArns=[{"Ref": "P"}],
        Policies=[{"PolicyName": "in", "PolicyDocument": json.loads(POLICY)}],
        Tags=json.loads(OWN),
    )
    assert cloud.create(
        cloud.body(**managed, R=role), Capabilities=CAPABILITIES, Tags=STACK_TAGS
    ) == ("CREATE_COMPLETE")
    iam = cloud.client("iam")
    found = iam.get_role(RoleName="r")["Role"]
    assert (found["Path"], found["Description"], found["MaxSessionDuration"]) == (
        "/team/",
        "first",
        7200,
    )
    arn = cloud.physical("P")
    assert arn == "arn:aws:iam::123456789012:policy/p"
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert {item["Key"]: item["Value"] for item in found["Tags"]} == {
        "Project": "flyback",
        "Owner": "own",
    }, "CloudFormation puts no tags of its own on roles"
    inline = iam.get_role_policy(RoleName="r", PolicyName="in")
    assert inline["PolicyDocument"] == json.loads(POLICY)
    new = dict(
        role["Properties"],
        Description="second",
        MaxSessionDuration=3600,
        AssumeRolePolicyDocument=json.loads(TRUST.replace("ec2", "lambda")),
        ManagedPolicyArns=[{"Ref": "Q"}],
        Policies=[{"PolicyName": "out", "PolicyDocument": json.loads(POLICY)}],
    )
    del new["PermissionsBoundary"], new["Tags"]
    template = cloud.body(**managed, R=cloud.resource("AWS::IAM::Role", **new))
    assert cloud.update(template, Capabilities=CAPABILITIES, Tags=[]) == "UPDATE_COMPLETE"
    found = iam.get_role(RoleName="r")["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("second", 3600)
    assert "PermissionsBoundary" not in found
    assert found.get("Tags", []) == []
    assert "lambda.amazonaws.com" in json.dumps(found["AssumeRolePolicyDocument"])
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [item["PolicyName"] for item in attached] == ["q"]
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["out"]


def test_an_instance_profile_holds_its_role(cloud: Any) -> None:
    """Ref is the name, GetAtt the ARN; the role can be exchanged."""
    roles = {
        name: cloud.resource(
            "AWS::IAM::Role", RoleName=name, AssumeRolePolicyDocument=json.loads(TRUST)
        )
        for name in ("a", "b")
    }

    def template(role: str) -> str:
        profile = cloud.resource(
            "AWS::IAM::InstanceProfile", InstanceProfileName="p", Path="/x/", Roles=[{"Ref": role}]
        )
        return cloud.body(**roles, P=profile)

    cloud.create(template("a"), Capabilities=CAPABILITIES)
    iam = cloud.client("iam")
    found = iam.get_instance_profile(InstanceProfileName=cloud.physical("P"))["InstanceProfile"]
    assert (found["Path"], [item["RoleName"] for item in found["Roles"]]) == ("/x/", ["a"])
    cloud.update(template("b"), Capabilities=CAPABILITIES)
    found = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert [item["RoleName"] for item in found["Roles"]] == ["b"]
    cloud.call("DeleteStack", StackName="demo")
    assert iam.list_roles()["Roles"] == []


def test_a_managed_policy_gets_new_versions_and_attachments(cloud: Any) -> None:
    """Six documents need room among five versions; attached elsewhere it can't be deleted."""
    role = cloud.resource(
        "AWS::IAM::Role", RoleName="r", AssumeRolePolicyDocument=json.loads(TRUST)
    )

    def template(number: int) -> str:
        document = json.loads(POLICY.replace("s3:*", f"s3:Get{number}"))
        policy = cloud.resource(
            "AWS::IAM::ManagedPolicy", PolicyDocument=document, Roles=[{"Ref": "R"}]
        )
        return cloud.body(R=role, P=policy)

    cloud.create(template(0), Capabilities=CAPABILITIES)
    for number in range(1, 7):
        assert cloud.update(template(number), Capabilities=CAPABILITIES) == "UPDATE_COMPLETE"
    iam, arn = cloud.client("iam"), cloud.physical("P")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Action"] == "s3:Get6"
    assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"][0]["PolicyArn"] == arn
    iam.create_user(UserName="u")
    iam.attach_user_policy(UserName="u", PolicyArn=arn)
    stack_id = cloud.stack()["StackId"]
    cloud.call("DeleteStack", StackName="demo")
    (failed,) = [item for item in cloud.events() if item[:2] == ("P", "DELETE_FAILED")]
    assert "Cannot delete a policy attached to entities." in failed[2]
    iam.detach_user_policy(UserName="u", PolicyArn=arn)
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
    assert iam.list_policies(Scope="Local")["Policies"] == []


def test_a_stored_parameter(cloud: Any) -> None:
    """Value, type, description, pattern, tags; in place again; an existing one is in the way."""

    def template(value: str, **more: Any) -> str:
        given = {"Name": "/a/b", "Type": "String", "Value": value, **more}
        return cloud.body(P=cloud.resource("AWS::SSM::Parameter", **given))

    first = template("1", Description="d", AllowedPattern="[0-9]+", Tags={"Owner": "own"})
    assert cloud.create(first, Tags=STACK_TAGS) == "CREATE_COMPLETE"
    ssm = cloud.client("ssm")
    assert ssm.get_parameter(Name="/a/b")["Parameter"]["Value"] == "1"
    (about,) = ssm.describe_parameters()["Parameters"]
    assert (about["Description"], about["AllowedPattern"]) == ("d", "[0-9]+")
    target = {"ResourceType": "Parameter", "ResourceId": "/a/b"}
    tags = ssm.list_tags_for_resource(**target)["TagList"]
    assert cloud.tags_of(tags) == {"Project": "flyback", "Owner": "own"}
    assert cloud.update(template("2"), Tags=[]) == "UPDATE_COMPLETE"
    assert ssm.get_parameter(Name="/a/b")["Parameter"]["Value"] == "2"
    assert cloud.tags_of(ssm.list_tags_for_resource(**target)["TagList"]) == {}
    assert cloud.create(first, "other") == "ROLLBACK_COMPLETE"
    assert ssm.get_parameter(Name="/a/b")["Parameter"]["Value"] == "2"


def test_a_topic_and_its_subscriptions(cloud: Any) -> None:
    """Name, display name, tags, inline and separate subscriptions; changed in place."""

    def template(name: str, address: str, raw: str) -> str:
        topic = cloud.resource(
            "AWS::SNS::Topic",
            TopicName="t",
            DisplayName=name,
            Subscription=[{"Protocol": "email", "Endpoint": address}],
        )
        subscription = cloud.resource(
            "AWS::SNS::Subscription",
            TopicArn={"Ref": "T"},
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:q",
            RawMessageDelivery=raw,
            FilterPolicy={"kind": ["a"]},
        )
        return cloud.body(T=topic, S=subscription)

    assert cloud.create(template("one", "a@example.org", "false"), Tags=STACK_TAGS) == (
        "CREATE_COMPLETE"
    )
    sns, arn = cloud.client("sns"), cloud.physical("T")
    assert arn == "arn:aws:sns:us-east-1:123456789012:t"
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "one"
    tags = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert cloud.tags_of(tags) == {"Project": "flyback", "Owner": "stack"}
    own = sns.get_subscription_attributes(SubscriptionArn=cloud.physical("S"))["Attributes"]
    assert (own["RawMessageDelivery"], own["FilterPolicy"]) == ("false", '{"kind": ["a"]}')
    assert cloud.update(template("two", "b@example.org", "true"), Tags=STACK_TAGS[:1]) == (
        "UPDATE_COMPLETE"
    )
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "two"
    own = sns.get_subscription_attributes(SubscriptionArn=cloud.physical("S"))["Attributes"]
    assert own["RawMessageDelivery"] == "true"
    found = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert sorted(item["Endpoint"] for item in found) == [
        "arn:aws:sqs:us-east-1:123456789012:q",
        "b@example.org",
    ]
    assert cloud.create(cloud.body(T=cloud.resource("AWS::SNS::Topic", TopicName="t")), "two") == (
        "ROLLBACK_COMPLETE"
    )
    cloud.call("DeleteStack", StackName="demo")
    assert sns.list_topics()["Topics"] == []
    assert sns.list_subscriptions()["Subscriptions"] == []


def test_a_launch_template_and_its_versions(cloud: Any) -> None:
    """The data as declared; an update makes a new version, keeps the default; own tags."""

    def template(kind: str) -> str:
        data = {
            "InstanceType": kind,
            "UserData": {"Fn::Base64": "#!/bin/sh\n"},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": "1"},
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": "50", "Encrypted": "true"}}
            ],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}
            ],
        }
        found = cloud.resource(
            "AWS::EC2::LaunchTemplate",
            LaunchTemplateName="template",
            VersionDescription=kind,
            LaunchTemplateData=data,
            TagSpecifications=[
                {"ResourceType": "launch-template", "Tags": [{"Key": "kind", "Value": kind}]}
            ],
        )
        outputs = {
            name: {"Value": {"Fn::GetAtt": ["L", name]}}
            for name in ("LatestVersionNumber", "DefaultVersionNumber")
        }
        return json.dumps({"Resources": {"L": found}, "Outputs": outputs})

    assert cloud.create(template("t3.micro"), Tags=STACK_TAGS) == "CREATE_COMPLETE"
    ec2, template_id = cloud.client("ec2"), cloud.physical("L")

    def version(number: str) -> dict[str, Any]:
        answer = ec2.describe_launch_template_versions(
            LaunchTemplateId=template_id, Versions=[number]
        )
        return dict(answer["LaunchTemplateVersions"][0])

    data = version("1")["LaunchTemplateData"]
    assert base64.b64decode(data["UserData"]) == b"#!/bin/sh\n"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["BlockDeviceMappings"][0]["Ebs"] == {"VolumeSize": 50, "Encrypted": True}
    assert data["TagSpecifications"] == [
        {"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}
    ]
    assert cloud.outputs() == {"LatestVersionNumber": "1", "DefaultVersionNumber": "1"}
    assert cloud.update(template("t3.large"), Tags=STACK_TAGS) == "UPDATE_COMPLETE"
    assert cloud.outputs() == {"LatestVersionNumber": "2", "DefaultVersionNumber": "1"}
    assert version("2")["VersionDescription"] == "t3.large"
    assert version("2")["LaunchTemplateData"]["InstanceType"] == "t3.large"
    filters = [{"Name": "resource-id", "Values": [template_id]}]
    assert cloud.tags_of(ec2.describe_tags(Filters=filters)["Tags"]) == {"kind": "t3.large"}
