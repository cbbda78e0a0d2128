"""CloudFormation's functions, permissions, schedules and rules: made, changed, undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flyback.rehearsal.cloud import RehearsalCloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["lambda.amazonaws.com", "scheduler.amazonaws.com"]},
        }
    ],
}

GRANT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}],
}


def _template(**changes: Any) -> dict[str, Any]:
    given = {
        "key": "a.zip",
        "timeout": 10,
        "state": "terminated",
        "every": "rate(1 hour)",
        "source": {"Fn::GetAtt": ["Rule", "Arn"]},
        "tag": "1",
        **changes,
    }
    target = {"Id": "t", "Arn": {"Fn::GetAtt": ["Function", "Arn"]}}
    return {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": TRUST,
                "Policies": [{"PolicyName": "invoke", "PolicyDocument": GRANT}],
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "code.handle",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"S3Bucket": "code", "S3Key": given["key"]},
                "Timeout": given["timeout"],
                "Tags": [{"Key": "tag", "Value": given["tag"]}],
            },
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "events.amazonaws.com",
                "SourceArn": given["source"],
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": ["aws.ec2"], "detail": {"state": [given["state"]]}},
                "Targets": [target],
                "Tags": [{"Key": "tag", "Value": given["tag"]}],
            },
        },
        "Group": {
            "Type": "AWS::Scheduler::ScheduleGroup",
            "Properties": {"Tags": [{"Key": "tag", "Value": given["tag"]}]},
        },
        "Schedule": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "GroupName": {"Ref": "Group"},
                "ScheduleExpression": given["every"],
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {
                    "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        },
    }


@pytest.fixture
def stack(
    client: Callable[[str], Any], package: Callable[..., bytes], passing: Callable[[float], None]
) -> Callable[..., str]:
    """Creates or updates the stack; its status."""
    client("s3").create_bucket(Bucket="code")
    for key in ("a.zip", "b.zip"):
        code = f"def handle(event, context): return {key!r}"
        client("s3").put_object(Bucket="code", Key=key, Body=package(code=code))

    def make(verb: str, **changes: Any) -> str:
        service = client("cloudformation")
        getattr(service, f"{verb}_stack")(
            StackName="demo",
            TemplateBody=json.dumps({"Resources": _template(**changes)}),
            Capabilities=["CAPABILITY_IAM"],
        )
        passing(900)
        return str(service.describe_stacks(StackName="demo")["Stacks"][0]["StackStatus"])

    return make


def _policy(client: Callable[[str], Any], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        client("lambda").get_policy(FunctionName=name)["Policy"]
    )["Statement"]
    return found


def test_each_is_changed_in_place(
    cloud: RehearsalCloud, client: Callable[[str], Any], stack: Callable[..., str]
) -> None:
    """Code, settings, pattern, rate and tags change; nothing is made anew but the permission."""
    assert stack("create") == "CREATE_COMPLETE"
    (before,) = client("lambda").list_functions()["Functions"]
    statement = _policy(client, before["FunctionName"])[0]["Sid"]
    assert (
        stack(
            "update",
            key="b.zip",
            timeout=20,
            state="stopped",
            every="rate(5 minutes)",
            source="arn:aws:events:us-east-1:123456789012:rule/other",
            tag="2",
        )
        == "UPDATE_COMPLETE"
    )
    (after,) = client("lambda").list_functions()["Functions"]
    assert (after["FunctionArn"], after["Timeout"]) == (before["FunctionArn"], 20)
    assert client("lambda").list_tags(Resource=after["FunctionArn"])["Tags"]["tag"] == "2"
    assert _policy(client, after["FunctionName"])[0]["Sid"] != statement
    (rule,) = client("events").list_rules()["Rules"]
    assert json.loads(rule["EventPattern"])["detail"] == {"state": ["stopped"]}
    tags = client("events").list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
    assert {"Key": "tag", "Value": "2"} in tags
    (schedule,) = client("scheduler").list_schedules()["Schedules"]
    answers = [json.loads(done.result) for done in cloud.functions.done]
    assert answers[0] == "a.zip"
    assert answers.count("b.zip") >= 2
    found = client("scheduler").get_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])
    assert found["ScheduleExpression"] == "rate(5 minutes)"
    groups = client("scheduler").list_schedule_groups()["ScheduleGroups"]
    (group,) = [item for item in groups if item["Name"] != "default"]
    tags = client("scheduler").list_tags_for_resource(ResourceArn=group["Arn"])["Tags"]
    assert {"Key": "tag", "Value": "2"} in tags


def test_what_fails_is_undone(
    client: Callable[[str], Any], stack: Callable[..., str], passing: Callable[[float], None]
) -> None:
    """A key that is not there rolls creation back to nothing, and an update to what was."""
    assert stack("create", key="missing.zip") == "ROLLBACK_COMPLETE"
    assert client("lambda").list_functions()["Functions"] == []
    assert client("events").list_rules()["Rules"] == []
    assert client("scheduler").list_schedules()["Schedules"] == []
    client("cloudformation").delete_stack(StackName="demo")
    passing(900)
    assert stack("create") == "CREATE_COMPLETE"
    assert stack("update", key="missing.zip", state="stopped") == "UPDATE_ROLLBACK_COMPLETE"
    (rule,) = client("events").list_rules()["Rules"]
    assert json.loads(rule["EventPattern"])["detail"] == {"state": ["terminated"]}
