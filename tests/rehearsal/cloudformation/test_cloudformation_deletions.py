"""Taking stacks away: what stops a deletion, what stays, what it interrupts, what holds it."""

from __future__ import annotations

from typing import Any

SMALL = """
Description: a bucket, its policy and a log group
Parameters:
  Days: {Type: Number, Default: 7}
  Secret: {Type: String, Default: hush, NoEcho: true}
Resources:
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Deny, Principal: "*", Action: "s3:*", Resource: !GetAtt Bucket.Arn}
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: demo-bucket}}
  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /demo, RetentionInDays: !Ref Days}}
Outputs:
  Bucket: {Value: !Ref Bucket, Description: the bucket, Export: {Name: demo-bucket-name}}
"""


def test_a_bucket_that_is_not_empty_stops_the_deletion(cloud: Any) -> None:
    """DELETE_FAILED in AWS's words; emptied, the same deletion works; what it needs waits."""
    cloud.create(SMALL)
    stack_id = cloud.stack()["StackId"]
    cloud.client("s3").put_object(Bucket="demo-bucket", Key="k", Body=b"x")
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.stack()["StackStatusReason"] == (
        "The following resource(s) failed to delete: [Bucket]. "
    )
    failed = [item for item in cloud.events() if item[:2] == ("Bucket", "DELETE_FAILED")]
    assert failed[0][2].startswith(
        'Resource handler returned message: "The bucket you tried to delete is not empty '
        "(Service: S3, Status Code: 409, Request ID: "
    )
    assert cloud.status() == "DELETE_FAILED"
    cloud.client("s3").delete_object(Bucket="demo-bucket", Key="k")
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_COMPLETE"


def test_retain_resources_lets_a_failed_deletion_end(cloud: Any) -> None:
    """Only in DELETE_FAILED; the retained bucket stays with its data, DELETE_SKIPPED."""
    cloud.create(SMALL)
    stack_id = cloud.stack()["StackId"]
    assert "only when the stack is in the DELETE_FAILED state" in cloud.refused(
        "DeleteStack", StackName="demo", RetainResources=["Bucket"]
    )
    cloud.client("s3").put_object(Bucket="demo-bucket", Key="k", Body=b"x")
    cloud.call("DeleteStack", StackName="demo")
    assert "must be in a valid state" in cloud.refused(
        "DeleteStack", StackName="demo", RetainResources=["Logs"]
    )
    cloud.call("DeleteStack", StackName="demo", RetainResources=["Bucket"])
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
    assert ("Bucket", "DELETE_SKIPPED", "") in cloud.events(stack_id)
    assert cloud.client("s3").get_object(Bucket="demo-bucket", Key="k")["Body"].read() == b"x"


def test_deletion_policies_keep_resources(cloud: Any) -> None:
    """Retain keeps; RetainExceptOnCreate keeps too, but not when a create rolls back."""
    body = """
Resources:
  A: {Type: AWS::Logs::LogGroup, DeletionPolicy: Retain, Properties: {LogGroupName: /a}}
  B:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: RetainExceptOnCreate
    Properties: {LogGroupName: /b}
"""
    bad = "  C: {Type: AWS::Logs::LogGroup, DependsOn: [A, B], Properties: {LogGroupName: /a}}\n"
    assert cloud.create(body + bad) == "ROLLBACK_COMPLETE"
    groups = cloud.client("logs").describe_log_groups
    assert [item["logGroupName"] for item in groups()["logGroups"]] == ["/a"]
    cloud.client("logs").delete_log_group(logGroupName="/a")
    cloud.create(body, "other")
    cloud.call("DeleteStack", StackName="other")
    assert [item["logGroupName"] for item in groups()["logGroups"]] == ["/a", "/b"]


def test_termination_protection_refuses_deletion(cloud: Any) -> None:
    """Until it is taken off."""
    cloud.create(SMALL)
    cloud.call("UpdateTerminationProtection", StackName="demo", EnableTerminationProtection=True)
    assert cloud.refused("DeleteStack", StackName="demo") == (
        "ValidationError: Stack [demo] cannot be deleted while TerminationProtection is enabled"
    )
    cloud.call("UpdateTerminationProtection", StackName="demo", EnableTerminationProtection=False)
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.call("DescribeStacks")["Stacks"] == []


def test_a_deletion_interrupts_a_creation(cloud: Any) -> None:
    """DeleteStack while CREATE_IN_PROGRESS: what is made so far goes, the rest never comes."""
    before = cloud.inventory()
    cloud.clock.hold = True
    cloud.create(SMALL)
    stack_id = cloud.stack()["StackId"]
    cloud.clock.wakes.append(lambda: cloud.call("DeleteStack", StackName="demo"))
    cloud.clock.run()
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
    assert "Policy" not in {item[0] for item in cloud.events(stack_id)}
    assert cloud.inventory() == before


def test_exports_bind_stacks_together(cloud: Any) -> None:
    """One name once; an import holds its exporter; a missing one fails the resource."""
    user = """
Resources:
  P:
    Type: AWS::SSM::Parameter
    Properties: {Name: /p, Type: String, Value: !ImportValue demo-bucket-name}
"""
    assert cloud.create(user, "early") == "ROLLBACK_COMPLETE"
    assert ("P", "CREATE_FAILED", "No export named demo-bucket-name found.") in cloud.events(
        "early"
    )
    cloud.create(SMALL)
    assert cloud.create(user, "user") == "CREATE_COMPLETE"
    exports = cloud.call("ListExports")["Exports"]
    assert [(item["Name"], item["Value"]) for item in exports] == [
        ("demo-bucket-name", "demo-bucket")
    ]
    assert cloud.refused("DeleteStack", StackName="demo") == (
        "ValidationError: Export demo-bucket-name cannot be deleted as it is in use by user"
    )
    again = SMALL.replace("BucketName: demo-bucket", "BucketName: other").replace("/demo", "/two")
    assert cloud.create(again, "second") == "ROLLBACK_COMPLETE"
    assert cloud.events("second")[-1][1] == "ROLLBACK_COMPLETE"
    assert any(
        reason.startswith("Export with name demo-bucket-name is already exported by stack demo.")
        for _, _, reason in cloud.events("second")
    )
    cloud.call("DeleteStack", StackName="user")
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.call("ListExports")["Exports"] == []


def test_a_stack_that_is_busy_refuses_updates(cloud: Any) -> None:
    """Update and update's deletion have to wait until it rests; a second deletion does not hurt."""
    cloud.clock.hold = True
    cloud.create(SMALL)
    assert "is in CREATE_IN_PROGRESS state and can not be updated." in cloud.refused(
        "UpdateStack", StackName="demo", TemplateBody=SMALL
    )
    cloud.clock.run()
    more = [{"ParameterKey": "Days", "ParameterValue": "30"}]
    cloud.call("UpdateStack", StackName="demo", TemplateBody=SMALL, Parameters=more)
    assert "cannot be deleted while in status UPDATE_IN_PROGRESS" in cloud.refused(
        "DeleteStack", StackName="demo"
    )
    cloud.clock.run()
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.call("DeleteStack", StackName="demo") == {}
    cloud.clock.run()
    assert cloud.call("DescribeStacks")["Stacks"] == []


def test_what_is_gone_already_does_not_stop_a_deletion(cloud: Any) -> None:
    """Resources that somebody deleted behind the stack's back count as deleted."""
    body = """
Resources:
  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /l}}
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: bkt}}
  Store: {Type: AWS::SSM::Parameter, Properties: {Name: /p, Type: String, Value: x}}
  Images: {Type: AWS::ECR::Repository, Properties: {RepositoryName: images}}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: t}}
  Template: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {}}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}}
  Gateway: {Type: AWS::EC2::InternetGateway}
  Table: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  Link:
    Type: AWS::EC2::SubnetRouteTableAssociation
    Properties: {SubnetId: !Ref Subnet, RouteTableId: !Ref Table}
  Group: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc}}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}}
  Profile: {Type: AWS::IAM::InstanceProfile, Properties: {Roles: [!Ref Role]}}
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]
"""
    assert cloud.create(body, Capabilities=["CAPABILITY_IAM"]) == "CREATE_COMPLETE"
    stack_id = cloud.stack()["StackId"]
    physical = {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in cloud.call("DescribeStackResources", StackName="demo")["StackResources"]
    }
    ec2, iam = cloud.client("ec2"), cloud.client("iam")
    cloud.client("logs").delete_log_group(logGroupName="/l")
    cloud.client("s3").delete_bucket(Bucket="bkt")
    cloud.client("ssm").delete_parameter(Name="/p")
    cloud.client("ecr").delete_repository(repositoryName="images")
    cloud.client("sns").delete_topic(TopicArn=physical["Topic"])
    ec2.delete_launch_template(LaunchTemplateId=physical["Template"])
    ec2.disassociate_route_table(AssociationId=physical["Link"])
    ec2.delete_route_table(RouteTableId=physical["Table"])
    ec2.delete_subnet(SubnetId=physical["Subnet"])
    ec2.delete_security_group(GroupId=physical["Group"])
    ec2.delete_internet_gateway(InternetGatewayId=physical["Gateway"])
    ec2.delete_vpc(VpcId=physical["Vpc"])
    profile, role = physical["Profile"], physical["Role"]
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.delete_instance_profile(InstanceProfileName=profile)
    iam.delete_role(RoleName=role)
    iam.delete_policy(PolicyArn=physical["Policy"])
    cloud.call("DeleteStack", StackName="demo")
    failed = {item[0]: item[2] for item in cloud.events(stack_id) if item[1].endswith("_FAILED")}
    assert failed == {}
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
