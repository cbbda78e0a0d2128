"""The core stack's lease: deployed, alive, changed, and gone without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flyback.infra import templates
from flyback.rehearsal.cloud import RehearsalCloud

STUB = """
import os
def handle(event, context):
    names = ("NAME", "STORE", "TOPIC", "SCHEDULE_GROUP", "TERMINATE_ROLE")
    return {"event": event, "told": {name: os.environ["FLYBACK_" + name] for name in names}}
"""


@pytest.fixture
def deployed(
    client: Callable[[str], Any],
    package: Callable[..., bytes],
    passing: Callable[[float], None],
) -> Callable[..., dict[str, str]]:
    """Deploys the core stack, or another state of it, with a stub of the guardian; its outputs."""
    client("s3").create_bucket(Bucket="bootstrap")
    name = "flyback/launch/guardian/handler"

    def make(verb: str = "create", code: str = STUB, **parameters: str) -> dict[str, str]:
        key = f"bundles/{len(code)}.zip"
        client("s3").put_object(Bucket="bootstrap", Key=key, Body=package(**{name: code}))
        given = {"GuardianBucket": "bootstrap", "GuardianKey": key, **parameters}
        cloudformation = client("cloudformation")
        getattr(cloudformation, f"{verb}_stack")(
            StackName="core",
            TemplateBody=templates.read("core"),
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": "flyback:name", "Value": "flyback"}],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": text} for key, text in given.items()
            ],
        )
        passing(1200)
        (stack,) = cloudformation.describe_stacks(StackName="core")["Stacks"]
        assert stack["StackStatus"] == f"{verb.upper()}_COMPLETE", stack
        return {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}

    return make


def test_the_core_stack_brings_a_guardian_to_life(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    deployed: Callable[..., dict[str, str]],
    passing: Callable[[float], None],
) -> None:
    """Outputs name everything; the sweep calls the guardian as the invoke role; then all goes."""
    before = cloud.inventory()
    outputs = deployed(AlertEmail="me@example.org")
    assert outputs["ScheduleGroupName"] == "flyback-flyback"
    assert outputs["GuardianArn"].endswith(":function:flyback-guardian")
    swept = json.loads(cloud.functions.done[0].result)
    assert swept["event"] == {"flyback": "sweep"}
    assert swept["told"] == {
        "NAME": "flyback",
        "STORE": f"s3://{outputs['OutputsBucketName']}",
        "TOPIC": outputs["TopicArn"],
        "SCHEDULE_GROUP": "flyback-flyback",
        "TERMINATE_ROLE": outputs["SchedulerTerminateRoleArn"],
    }
    called = [entry for entry in cloud.journal.entries() if entry.operation == "Invoke"]
    role = outputs["SchedulerInvokeRoleArn"].rpartition("/")[2]
    assert called[0].principal == (f"arn:aws:sts::123456789012:assumed-role/{role}/guardian-sweep")
    tagging = client("resourcegroupstaggingapi")
    listed = tagging.get_resources(TagFilters=[{"Key": "flyback:name", "Values": ["flyback"]}])
    arns = {item["ResourceARN"] for item in listed["ResourceTagMappingList"]}
    assert outputs["GuardianArn"] in arns
    assert "arn:aws:scheduler:us-east-1:123456789012:schedule-group/flyback-flyback" in arns
    assert outputs["TopicArn"] in arns
    held = json.loads(cloud.inventory())
    assert len(held["events:rule"]) == 1
    assert list(held["scheduler:schedule"]) == [
        "arn:aws:scheduler:us-east-1:123456789012:schedule/flyback-flyback/guardian-sweep"
    ]
    count = len(cloud.functions.done)
    passing(3600)
    assert len(cloud.functions.done) == count + 4
    client("cloudformation").delete_stack(StackName="core")
    passing(1200)
    for item in client("s3").list_objects_v2(Bucket="bootstrap")["Contents"]:
        client("s3").delete_object(Bucket="bootstrap", Key=item["Key"])
    after = json.loads(cloud.inventory())
    assert {k: v for k, v in after.items() if v and v != json.loads(before)[k]} == {}


def test_new_code_reaches_the_guardian_by_its_key(
    cloud: RehearsalCloud, deployed: Callable[..., dict[str, str]]
) -> None:
    """Another key is another code; the function stays."""
    first = deployed()
    again = deployed("update", "def handle(event, context): return 'new'")
    assert again["GuardianArn"] == first["GuardianArn"]
    assert cloud.functions.done[-1].result == '"new"'


def test_without_code_there_is_no_guardian(
    client: Callable[[str], Any], deployed: Callable[..., dict[str, str]]
) -> None:
    """What needs none is there all the same, so that a machine can be ended by a schedule."""
    outputs = deployed(GuardianBucket="", GuardianKey="guardian.zip")
    assert "GuardianArn" not in outputs
    assert outputs["SchedulerTerminateRoleArn"]
    assert client("lambda").list_functions()["Functions"] == []
