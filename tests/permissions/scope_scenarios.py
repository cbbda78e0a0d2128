"""What credentials must not open: those of a machine, of whoever deploys, and without TLS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

REGION, ACCOUNT, NAME = "us-east-1", "123456789012", "trial"  # as conftest.py
_DATA = f"{NAME}-data-{ACCOUNT}-{REGION}"
_OUTPUTS = f"{NAME}-outputs-{ACCOUNT}-{REGION}"


def record_scope(recorder: Any, role: str, instance: str) -> None:
    """What a machine's credentials must not open."""
    s3, ec2 = recorder.as_role(role, "s3"), recorder.as_role(role, "ec2")
    clients = recorder.emulated.clients
    clients("s3", REGION).create_bucket(Bucket="somebody-elses")
    clients("s3", REGION).put_object(Bucket="somebody-elses", Key="runs/k", Body=b"x")
    clients("s3", REGION).put_object(Bucket=_DATA, Key="mine", Body=b"x")
    attempts: dict[tuple[str, str], Callable[[], Any]] = {
        ("read another bucket", "s3:GetObject"): lambda: s3.get_object(
            Bucket="somebody-elses", Key="runs/k"
        ),
        ("list another bucket", "s3:ListBucket"): lambda: s3.list_objects_v2(
            Bucket="somebody-elses"
        ),
        ("write to another bucket", "s3:PutObject"): lambda: s3.put_object(
            Bucket="somebody-elses", Key="runs/k"
        ),
        ("list all buckets", "s3:ListAllMyBuckets"): s3.list_buckets,
        ("write to the data bucket", "s3:PutObject"): lambda: s3.put_object(
            Bucket=_DATA, Key="mine", Body=b"y"
        ),
        ("delete data", "s3:DeleteObject"): lambda: s3.delete_object(Bucket=_DATA, Key="mine"),
        ("list the outputs bucket", "s3:ListBucket"): lambda: s3.list_objects_v2(Bucket=_OUTPUTS),
        ("replace a bundle", "s3:PutObject"): lambda: s3.put_object(
            Bucket=_OUTPUTS, Key="bundles/b", Body=b"y"
        ),
        ("replace a working directory", "s3:PutObject"): lambda: s3.put_object(
            Bucket=_OUTPUTS, Key="workdirs/w"
        ),
        ("delete a run's file", "s3:DeleteObject"): lambda: s3.delete_object(
            Bucket=_OUTPUTS, Key="runs/x/k"
        ),
        ("open a bucket to others", "s3:PutBucketPolicy"): lambda: s3.put_bucket_policy(
            Bucket=_OUTPUTS, Policy="{}"
        ),
        ("terminate itself", "ec2:TerminateInstances"): lambda: ec2.terminate_instances(
            InstanceIds=[instance]
        ),
        ("terminate another machine", "ec2:TerminateInstances"): lambda: ec2.terminate_instances(
            InstanceIds=["i-0abcdef12"]
        ),
        ("see other machines", "ec2:DescribeInstances"): ec2.describe_instances,
        ("launch a machine", "ec2:RunInstances instance/*"): lambda: ec2.run_instances(
            ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1
        ),
        ("tag a machine", "ec2:CreateTags"): lambda: ec2.create_tags(
            Resources=[instance], Tags=[{"Key": "flyback:deadline", "Value": "1"}]
        ),
        ("put its role into a profile", "iam:AddRoleToInstanceProfile"): lambda: recorder.as_role(
            role, "iam"
        ).add_role_to_instance_profile(InstanceProfileName="p", RoleName=role.rpartition("/")[2]),
        ("write its own policy", "iam:PutRolePolicy"): lambda: recorder.as_role(
            role, "iam"
        ).put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="p", PolicyDocument="{}"),
        ("assume a role", "sts:AssumeRole"): lambda: recorder.as_role(role, "sts").assume_role(
            RoleArn=role, RoleSessionName="again"
        ),
        ("read somebody's parameter", "ssm:GetParameter"): lambda: recorder.as_role(
            role, "ssm"
        ).get_parameter(Name="/prod/password"),
        ("read somebody's secret", "secretsmanager:GetSecretValue"): lambda: recorder.as_role(
            role, "secretsmanager"
        ).get_secret_value(SecretId="prod/password"),
        ("write another log", "logs:CreateLogStream"): lambda: recorder.as_role(
            role, "logs"
        ).create_log_stream(logGroupName="/aws/lambda/theirs", logStreamName="s"),
        ("make a log group", "logs:CreateLogGroup"): lambda: recorder.as_role(
            role, "logs"
        ).create_log_group(logGroupName=f"/flyback/{NAME}/more"),
        ("delete the stack", "cloudformation:DeleteStack"): lambda: recorder.as_role(
            role, "cloudformation"
        ).delete_stack(StackName=f"{NAME}-core"),
    }
    for (name, refused), call in attempts.items():
        recorder.attempt(name, refused, call)
    lambda_ = recorder.emulated.clients("sts", REGION, "lambda")
    recorder.attempt(
        "another service takes the machines' role",
        "sts:AssumeRole",
        lambda: lambda_.assume_role(RoleArn=role, RoleSessionName="theirs"),
    )


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def record_passing(recorder: Any, role: str) -> None:
    """A role that may do whatever passing a role takes besides, and else what the machines' may.

    Without `iam:PassRole` it still hands no role on; were that granted to the machines, it would.
    """
    iam = recorder.emulated.clients("iam", REGION)
    held = [
        item
        for item in recorder.evidence.policies
        if item.kind == "identity" and item.holder == role
    ]
    assert held
    rest = {
        "Effect": "Allow",
        "Action": ["ec2:*", "scheduler:*", "lambda:*", "iam:AddRoleToInstanceProfile"],
        "Resource": "*",
    }
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    trust["Action"] = "sts:AssumeRole"
    name = "holds-the-rest"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
    for number, text in enumerate([*(json.dumps(item.document) for item in held), _policy(rest)]):
        iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=text)
    iam.create_instance_profile(InstanceProfileName="mine")
    iam.create_instance_profile(InstanceProfileName="empty")
    named = role.rpartition("/")[2]
    iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName=named)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    ec2, scheduler, profiles, functions = (
        recorder.as_role(arn, service) for service in ("ec2", "scheduler", "iam", "lambda")
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    attempts: dict[str, Callable[[], Any]] = {
        "pass a role to a machine": lambda: ec2.run_instances(
            ImageId=image,
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            IamInstanceProfile={"Name": "mine"},
        ),
        "pass a role to a schedule": lambda: scheduler.create_schedule(
            Name="x",
            ScheduleExpression="at(2030-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
                "RoleArn": role,
            },
        ),
        "pass a role to a profile": lambda: profiles.add_role_to_instance_profile(
            InstanceProfileName="empty", RoleName=named
        ),
        "pass a role to a function": lambda: functions.update_function_configuration(
            FunctionName=f"{NAME}-guardian", Role=role
        ),
    }
    for attempt, call in attempts.items():
        recorder.attempt(attempt, f"iam:PassRole role/{named}", call)
    iam.remove_role_from_instance_profile(InstanceProfileName="mine", RoleName=named)
    for profile in ("mine", "empty"):
        iam.delete_instance_profile(InstanceProfileName=profile)
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def record_plain_http(recorder: Any) -> None:
    """The owner without TLS, at both buckets and at their objects."""
    s3 = recorder.emulated.clients("s3", REGION)
    recorder.emulated.judge.secure = False
    for bucket in (_DATA, _OUTPUTS):
        name = bucket.split("-")[1]
        recorder.attempt(
            f"list {name} without TLS",
            "s3:ListBucket",
            lambda b=bucket: s3.list_objects_v2(Bucket=b),
        )
        recorder.attempt(
            f"read {name} without TLS",
            "s3:GetObject",
            lambda b=bucket: s3.get_object(Bucket=b, Key="one.txt"),
        )
    recorder.emulated.judge.secure = True


def record_deployers_scope(recorder: Any, role: str) -> None:
    """What who deploys must not do with what they may do."""
    session = recorder.cloud.session
    ec2 = recorder.emulated.clients("ec2", REGION)
    disk = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    stack, mine = session.client("cloudformation"), session.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    kind = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    another = [{"Key": "flyback:name", "Value": f"{NAME}-2"}]
    tagged = [{"ResourceType": "instance", "Tags": another}]
    theirs = [
        ec2.run_instances(**kind, **more)["Instances"][0]["InstanceId"]
        for more in ({}, {"TagSpecifications": tagged})
    ]
    ours = [{"Key": "flyback:name", "Value": NAME}]
    deployers: dict[tuple[str, str], Callable[[], Any]] = {
        ("a deployer tags a disk that is there", "ec2:CreateTags"): lambda: mine.create_tags(
            Resources=[disk], Tags=ours
        ),
        ("a deployer gives CloudFormation the machines' role", "iam:PassRole"): lambda: (
            stack.create_stack(StackName=f"{NAME}-ci", TemplateBody="{}", RoleARN=role)
        ),
    }
    for whose, machine in zip(("somebody else's", "another deployment's"), theirs, strict=True):
        there = [machine]
        deployers |= {
            (
                f"a deployer terminates {whose} machine",
                "ec2:TerminateInstances",
            ): lambda there=there: mine.terminate_instances(InstanceIds=there),
            (f"a deployer tags {whose} machine", "ec2:CreateTags"): lambda there=there: (
                mine.create_tags(Resources=there, Tags=ours)
            ),
            (
                f"a deployer deletes the tags of {whose} machine",
                "ec2:DeleteTags",
            ): lambda there=there: mine.delete_tags(Resources=there, Tags=another),
        }
    for (name, refused), call in deployers.items():
        recorder.attempt(name, refused, call)
    ec2.terminate_instances(InstanceIds=theirs)
    ec2.delete_volume(VolumeId=disk)
