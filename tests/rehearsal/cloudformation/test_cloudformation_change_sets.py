"""Change sets: what they tell beforehand, and the flow of `aws cloudformation deploy`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyback.rehearsal.call import AwsError

BASE = """
Parameters:
  Days: {Type: Number, Default: 7}
  Name: {Type: String, Default: /one}
  Extra: {Type: String, Default: "no"}
Conditions:
  WithExtra: !Equals [!Ref Extra, "yes"]
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Ref Name, RetentionInDays: !Ref Days}
  Follower:
    Type: AWS::SSM::Parameter
    Properties: {Name: /follower, Type: String, Value: !Ref Logs}
  Extra:
    Type: AWS::SNS::Topic
    Condition: WithExtra
    Properties: {TopicName: extra}
Outputs:
  Logs: {Value: !Ref Logs}
"""
NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


def given(**values: str) -> list[dict[str, str]]:
    """Parameters of a request."""
    return [{"ParameterKey": key, "ParameterValue": text} for key, text in values.items()]


def retention(cloud: Any) -> dict[str, int]:
    """Days by log group."""
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    return {item["logGroupName"]: item.get("retentionInDays", 0) for item in groups}


def changes(cloud: Any, body: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A change set's resource changes by logical id; the change set is deleted again."""
    made = cloud.call(
        "CreateChangeSet", StackName="demo", ChangeSetName="look", TemplateBody=body, **more
    )
    found = cloud.call("DescribeChangeSet", ChangeSetName=made["Id"])
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE"), found
    cloud.call("DeleteChangeSet", StackName="demo", ChangeSetName="look")
    shown = [item["ResourceChange"] for item in found["Changes"]]
    return {item["LogicalResourceId"]: item for item in shown}


def test_change_sets_tell_add_modify_remove_and_replacement(cloud: Any) -> None:
    """Replacement from the schema's create-only properties, details with their causes."""
    cloud.create(BASE)
    found = changes(cloud, BASE, Parameters=given(Days="14", Extra="yes"))
    assert found == {
        "Extra": {
            "Action": "Add",
            "LogicalResourceId": "Extra",
            "ResourceType": "AWS::SNS::Topic",
            "Scope": [],
            "Details": [],
        },
        "Logs": {
            "Action": "Modify",
            "LogicalResourceId": "Logs",
            "PhysicalResourceId": "/one",
            "ResourceType": "AWS::Logs::LogGroup",
            "Replacement": "False",
            "Scope": ["Properties"],
            "Details": [
                {
                    "Target": {
                        "Attribute": "Properties",
                        "Name": "RetentionInDays",
                        "RequiresRecreation": "Never",
                    },
                    "Evaluation": "Static",
                    "ChangeSource": "ParameterReference",
                    "CausingEntity": "Days",
                }
            ],
        },
    }
    found = changes(cloud, BASE, Parameters=given(Name="/two"))
    assert found["Logs"]["Replacement"] == "True"
    assert found["Follower"]["Replacement"] == "False"
    assert found["Follower"]["Details"] == [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "Value",
                "RequiresRecreation": "Never",
            },
            "Evaluation": "Dynamic",
            "ChangeSource": "ResourceReference",
            "CausingEntity": "Logs",
        }
    ]
    dependent = BASE.replace("Name: /follower", "Name: !Sub '${Logs}/follower'")
    found = changes(cloud, dependent, Parameters=given(Name="/two"))
    assert found["Follower"]["Replacement"] == "Conditional"
    direct = BASE.replace("RetentionInDays: !Ref Days", "RetentionInDays: 30")
    (detail,) = changes(cloud, direct)["Logs"]["Details"]
    assert detail["ChangeSource"] == "DirectModification"
    without = BASE[: BASE.index("  Follower:")] + BASE[BASE.index("  Extra:\n    Type:") :]
    found = changes(cloud, without)
    assert (found["Follower"]["Action"], found["Follower"]["PolicyAction"]) == ("Remove", "Delete")
    assert changes(cloud, BASE, Tags=[{"Key": "a", "Value": "b"}])["Logs"]["Scope"] == ["Tags"]
    assert retention(cloud) == {"/one": 7}, "looking changes nothing"


def test_an_attribute_of_a_changed_resource_is_unknown(cloud: Any) -> None:
    """GetAtt of something that changes counts as dynamic, for its value may change with it."""
    body = """
Parameters: {Kind: {Type: String, Default: t3.micro}}
Resources:
  Template:
    Type: AWS::EC2::LaunchTemplate
    Properties: {LaunchTemplateData: {InstanceType: !Ref Kind}}
  Version:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: !GetAtt Template.LatestVersionNumber}
"""
    cloud.create(body)
    found = changes(cloud, body, Parameters=given(Kind="t3.large"))
    (detail,) = found["Version"]["Details"]
    assert (detail["Evaluation"], detail["ChangeSource"], detail["CausingEntity"]) == (
        "Dynamic",
        "ResourceAttribute",
        "Template.LatestVersionNumber",
    )
    cloud.update(body, Parameters=given(Kind="t3.large"))
    value = cloud.client("ssm").get_parameter(Name=cloud.physical("Version"))["Parameter"]["Value"]
    assert value == "2"


def test_the_flow_of_aws_cloudformation_deploy(cloud: Any) -> None:
    """CREATE change set, wait, execute, wait; then UPDATE; then one without changes."""
    assert cloud.refused("DescribeStacks", StackName="demo").endswith("does not exist")
    cloud.clock.hold = True
    made = cloud.call(
        "CreateChangeSet",
        StackName="demo",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=BASE,
        Parameters=[],
        Capabilities=["CAPABILITY_IAM"],
        Description="Created by AWS CLI",
        Tags=[{"Key": "k", "Value": "v"}],
    )
    assert cloud.status() == "REVIEW_IN_PROGRESS"
    assert cloud.call("DescribeChangeSet", ChangeSetName=made["Id"])["Status"] == "CREATE_PENDING"
    assert "cannot be executed in its current status of [CREATE_PENDING]" in cloud.refused(
        "ExecuteChangeSet", ChangeSetName=made["Id"]
    )
    cloud.clock.run()
    found = cloud.call("DescribeChangeSet", StackName="demo", ChangeSetName="first")
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert found["Description"] == "Created by AWS CLI"
    assert [item["ResourceChange"]["Action"] for item in found["Changes"]] == ["Add", "Add"]
    body = cloud.call("GetTemplate", StackName="demo", ChangeSetName="first")["TemplateBody"]
    assert body == BASE
    assert retention(cloud) == {}
    cloud.call("ExecuteChangeSet", StackName="demo", ChangeSetName="first")
    assert cloud.status() == "CREATE_IN_PROGRESS"
    cloud.clock.run()
    assert cloud.status() == "CREATE_COMPLETE"
    assert cloud.stack()["ChangeSetId"] == made["Id"]
    assert cloud.events()[0] == ("demo", "REVIEW_IN_PROGRESS", "User Initiated")
    cloud.clock.hold = False
    cloud.call(
        "CreateChangeSet",
        StackName="demo",
        ChangeSetName="second",
        ChangeSetType="UPDATE",
        TemplateBody=BASE,
        Parameters=[{"ParameterKey": "Name", "UsePreviousValue": True}, *given(Days="1")],
    )
    cloud.call("ExecuteChangeSet", StackName="demo", ChangeSetName="second")
    assert (cloud.status(), retention(cloud)) == ("UPDATE_COMPLETE", {"/one": 1})
    cloud.call(
        "CreateChangeSet",
        StackName="demo",
        ChangeSetName="third",
        UsePreviousTemplate=True,
        Parameters=given(Days="1"),
    )
    found = cloud.call("DescribeChangeSet", StackName="demo", ChangeSetName="third")
    assert (found["Status"], found["StatusReason"]) == ("FAILED", NO_CHANGES)
    assert found["Changes"] == []
    assert "in its current status of [FAILED]" in cloud.refused(
        "ExecuteChangeSet", StackName="demo", ChangeSetName="third"
    )


def test_change_sets_by_name_and_their_end(cloud: Any) -> None:
    """Names are unique per stack, listed, deleted; one executed makes the others obsolete."""
    cloud.create(BASE)
    for name in ("a", "b"):
        cloud.call(
            "CreateChangeSet",
            StackName="demo",
            ChangeSetName=name,
            TemplateBody=BASE,
            Parameters=given(Days="14"),
        )
    again = {"StackName": "demo", "ChangeSetName": "a", "TemplateBody": BASE}
    assert cloud.refused("CreateChangeSet", **again) == (
        "AlreadyExistsException: ChangeSet a already exists"
    )
    cloud.call("ExecuteChangeSet", StackName="demo", ChangeSetName="a")
    listed = cloud.call("ListChangeSets", StackName="demo")["Summaries"]
    assert [(item["ChangeSetName"], item["ExecutionStatus"]) for item in listed] == [
        ("a", "EXECUTE_COMPLETE"),
        ("b", "OBSOLETE"),
    ]
    assert "current execution status of [OBSOLETE]" in cloud.refused(
        "ExecuteChangeSet", StackName="demo", ChangeSetName="b"
    )
    cloud.call("DeleteChangeSet", StackName="demo", ChangeSetName="b")
    assert cloud.call("DeleteChangeSet", StackName="demo", ChangeSetName="b") == {}
    assert cloud.refused("DescribeChangeSet", StackName="demo", ChangeSetName="b") == (
        "ChangeSetNotFound: ChangeSet [b] does not exist"
    )
    create = {**again, "ChangeSetName": "c", "ChangeSetType": "CREATE"}
    assert cloud.refused("CreateChangeSet", **create) == (
        "ValidationError: Stack [demo] already exists and cannot be created again with the "
        "changeSet [c]."
    )
    unknown = {**again, "StackName": "nobody"}
    assert cloud.refused("CreateChangeSet", **unknown) == (
        "ValidationError: Stack [nobody] does not exist"
    )


def test_a_reviewed_stack_can_be_thrown_away(cloud: Any) -> None:
    """REVIEW_IN_PROGRESS holds the name until it is deleted; nothing was made."""
    before = cloud.inventory()
    cloud.call(
        "CreateChangeSet",
        StackName="demo",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=BASE,
    )
    assert cloud.refused("CreateStack", StackName="demo", TemplateBody=BASE) == (
        "AlreadyExistsException: Stack [demo] already exists"
    )
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.call("DescribeStacks")["Stacks"] == []
    assert cloud.inventory() == before


def test_core_like_updates_reach_the_launch_template(cloud: Any) -> None:
    """JSON templates work alike; a changed parameter makes a new version and moves the output."""
    body = json.dumps(
        {
            "Parameters": {"Gib": {"Type": "Number", "Default": 50}},
            "Resources": {
                "L": {
                    "Type": "AWS::EC2::LaunchTemplate",
                    "Properties": {
                        "LaunchTemplateData": {
                            "BlockDeviceMappings": [
                                {
                                    "DeviceName": "/dev/sda1",
                                    "Ebs": {"VolumeSize": {"Ref": "Gib"}},
                                }
                            ]
                        }
                    },
                }
            },
            "Outputs": {"V": {"Value": {"Fn::GetAtt": "L.LatestVersionNumber"}}},
        }
    )
    cloud.create(body)
    cloud.update(body, Parameters=given(Gib="60"))
    assert cloud.outputs() == {"V": "2"}
    (version,) = cloud.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=cloud.physical("L"), Versions=["2"]
    )["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 60


KEPT = """
Resources:
  Data:
    Type: AWS::S3::Bucket
    DeletionPolicy: Delete
    Properties: {BucketName: kept-data}
"""
WHICH = {
    "ResourceType": "AWS::S3::Bucket",
    "LogicalResourceId": "Data",
    "ResourceIdentifier": {"BucketName": "kept-data"},
}


def imported(cloud: Any, body: str, *which: dict[str, Any]) -> dict[str, Any]:
    """A change set that imports into a new stack, as it is described."""
    made = cloud.call(
        "CreateChangeSet",
        StackName="demo",
        ChangeSetName="take",
        ChangeSetType="IMPORT",
        TemplateBody=body,
        ResourcesToImport=list(which),
    )
    found: dict[str, Any] = cloud.call("DescribeChangeSet", ChangeSetName=made["Id"])
    return found


def status(cloud: Any) -> str:
    """Of the stack."""
    return str(cloud.call("DescribeStacks", StackName="demo")["Stacks"][0]["StackStatus"])


def test_an_import_takes_in_what_exists_and_an_update_goes_on_from_there(cloud: Any) -> None:
    """The bucket stays what it is; the new stack knows it, and changes it when it is updated."""
    cloud.client("s3").create_bucket(Bucket="kept-data")
    found = imported(cloud, KEPT, WHICH)
    (change,) = found["Changes"]
    assert change["ResourceChange"]["Action"] == "Import"
    cloud.call("ExecuteChangeSet", ChangeSetName=found["ChangeSetId"])
    assert status(cloud) == "IMPORT_COMPLETE"
    versioned = KEPT.replace("kept-data}", "kept-data, VersioningConfiguration: {Status: Enabled}}")
    cloud.call("UpdateStack", StackName="demo", TemplateBody=versioned)
    assert cloud.client("s3").get_bucket_versioning(Bucket="kept-data")["Status"] == "Enabled"


def test_an_import_of_what_is_not_there_leaves_the_stack_without_it(cloud: Any) -> None:
    """Rolled back: the resource is not the stack's, and the reason is in the events."""
    found = imported(cloud, KEPT, WHICH)
    cloud.call("ExecuteChangeSet", ChangeSetName=found["ChangeSetId"])
    assert status(cloud) == "IMPORT_ROLLBACK_COMPLETE"
    assert not cloud.call("ListStackResources", StackName="demo")["StackResourceSummaries"]


@pytest.mark.parametrize(
    ("body", "which", "sentence"),
    [
        (KEPT.replace("    DeletionPolicy: Delete\n", ""), WHICH, "must have DeletionPolicy"),
        (KEPT + "Outputs:\n  Name: {Value: x}\n", WHICH, r"modify or add \[Outputs\]"),
        (KEPT + "  Other: {Type: AWS::SNS::Topic}\n", WHICH, "missing from ResourceToImport"),
        (KEPT, {**WHICH, "LogicalResourceId": "Else"}, "not in the template"),
    ],
)
def test_imports_that_cloudformation_refuses(
    cloud: Any, body: str, which: dict[str, Any], sentence: str
) -> None:
    """The user guide's conditions; no stack is left in review."""
    cloud.client("s3").create_bucket(Bucket="kept-data")
    with pytest.raises(AwsError, match=sentence):
        imported(cloud, body, which)
    assert not cloud.call("ListStacks")["StackSummaries"]


def test_what_another_stack_holds_is_not_imported(cloud: Any) -> None:
    """A resource belongs to one stack."""
    cloud.create(KEPT, "owner")
    found = imported(cloud, KEPT, WHICH)
    cloud.call("ExecuteChangeSet", ChangeSetName=found["ChangeSetId"])
    assert status(cloud) == "IMPORT_ROLLBACK_COMPLETE"
