"""Updates and change sets: what changes, what is replaced, what is undone, what `deploy` needs."""

from __future__ import annotations

from typing import Any

import pytest

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
BAD = (
    "  Bad: {Type: AWS::Logs::LogGroup, DependsOn: [Logs, Follower], Properties: {Nope: 1}}\n"
    "Outputs:"
)
POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", '
    '"Resource": "*"}]}'
)
NOTHING = "ValidationError: No updates are to be performed."


def given(**values: str) -> list[dict[str, str]]:
    """Parameters of a request."""
    return [{"ParameterKey": key, "ParameterValue": text} for key, text in values.items()]


def retention(cloud: Any) -> dict[str, int]:
    """Days by log group."""
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    return {item["logGroupName"]: item.get("retentionInDays", 0) for item in groups}


def follower(cloud: Any) -> str:
    """Value of the parameter that follows the log group's name."""
    return str(cloud.client("ssm").get_parameter(Name="/follower")["Parameter"]["Value"])


def since_update(cloud: Any) -> list[tuple[str, str, str]]:
    """Events from the last UPDATE_IN_PROGRESS of the stack on."""
    history = cloud.events()
    start = max(i for i, item in enumerate(history) if item[:2] == ("demo", "UPDATE_IN_PROGRESS"))
    return list(history[start:])


def test_a_parameter_alone_changes_what_uses_it(cloud: Any) -> None:
    """The template as before, one parameter changed: nothing but that property is touched."""
    cloud.create(BASE)
    cloud.call(
        "UpdateStack",
        StackName="demo",
        UsePreviousTemplate=True,
        Parameters=[*given(Days="14"), {"ParameterKey": "Name", "UsePreviousValue": True}],
    )
    assert retention(cloud) == {"/one": 14}
    assert since_update(cloud) == [
        ("demo", "UPDATE_IN_PROGRESS", "User Initiated"),
        ("Logs", "UPDATE_IN_PROGRESS", ""),
        ("Logs", "UPDATE_COMPLETE", ""),
        ("demo", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
        ("demo", "UPDATE_COMPLETE", ""),
    ]
    assert cloud.stack()["LastUpdatedTime"] > cloud.stack()["CreationTime"]


def test_an_update_that_changes_nothing_is_refused(cloud: Any) -> None:
    """The same again, another layout, a comment, a parameter that nothing uses: no update."""
    cloud.create(BASE)
    events = cloud.events()
    for body in (BASE, f"# a comment\n{BASE}", BASE.replace("Outputs:", "\nOutputs:")):
        assert cloud.refused("UpdateStack", StackName="demo", TemplateBody=body) == NOTHING
    assert (
        cloud.refused(
            "UpdateStack", StackName="demo", TemplateBody=BASE, Parameters=given(Extra="maybe")
        )
        == NOTHING
    )
    assert cloud.events() == events


def test_outputs_tags_and_attributes_alone_are_changes(cloud: Any) -> None:
    """A new output, a stack tag and a DeletionPolicy each make an update."""
    cloud.create(BASE)
    more = BASE.replace("Outputs:", "Outputs:\n  Fixed: {Value: x}")
    assert cloud.update(more) == "UPDATE_COMPLETE"
    assert cloud.outputs() == {"Logs": "/one", "Fixed": "x"}
    assert cloud.update(more, Tags=[{"Key": "k", "Value": "v"}]) == "UPDATE_COMPLETE"
    arn = cloud.client("logs").describe_log_groups()["logGroups"][0]["logGroupArn"]
    assert cloud.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]["k"] == "v"
    kept = more.replace(
        "Type: AWS::SSM::Parameter", "DeletionPolicy: Retain\n    Type: AWS::SSM::Parameter"
    )
    assert cloud.update(kept) == "UPDATE_COMPLETE"
    assert cloud.stack()["Tags"] == [{"Key": "k", "Value": "v"}], "not given, tags stay"
    cloud.call("DeleteStack", StackName="demo")
    assert follower(cloud) == "/one"


def test_a_replacement_makes_the_new_first_and_deletes_the_old_last(cloud: Any) -> None:
    """A create-only property: new physical id, dependants follow, the old goes in the clean-up."""
    cloud.create(BASE)
    assert cloud.update(BASE, Parameters=given(Name="/two")) == "UPDATE_COMPLETE"
    assert retention(cloud) == {"/two": 7}
    assert follower(cloud) == "/two"
    assert cloud.outputs() == {"Logs": "/two"}
    replacing = (
        "Requested update requires the creation of a new physical resource; hence creating one."
    )
    assert since_update(cloud) == [
        ("demo", "UPDATE_IN_PROGRESS", "User Initiated"),
        ("Logs", "UPDATE_IN_PROGRESS", replacing),
        ("Logs", "UPDATE_IN_PROGRESS", "Resource creation Initiated"),
        ("Logs", "UPDATE_COMPLETE", ""),
        ("Follower", "UPDATE_IN_PROGRESS", ""),
        ("Follower", "UPDATE_COMPLETE", ""),
        ("demo", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
        ("Logs", "DELETE_IN_PROGRESS", ""),
        ("Logs", "DELETE_COMPLETE", ""),
        ("demo", "UPDATE_COMPLETE", ""),
    ]


def test_an_old_resource_stays_where_the_policy_says(cloud: Any) -> None:
    """UpdateReplacePolicy: Retain keeps what was replaced."""
    body = BASE.replace("Type: AWS::Logs", "UpdateReplacePolicy: Retain\n    Type: AWS::Logs")
    cloud.create(body)
    cloud.update(body, Parameters=given(Name="/two"))
    assert set(retention(cloud)) == {"/one", "/two"}
    assert ("Logs", "DELETE_SKIPPED", "") in since_update(cloud)


def test_conditions_bring_and_take_resources(cloud: Any) -> None:
    """A parameter adds a conditional resource; taken back, it is deleted in the clean-up."""
    cloud.create(BASE)
    cloud.update(BASE, Parameters=given(Extra="yes"))
    assert len(cloud.client("sns").list_topics()["Topics"]) == 1
    cloud.update(BASE, Parameters=given(Extra="no"))
    assert cloud.client("sns").list_topics()["Topics"] == []
    assert ("Extra", "DELETE_COMPLETE", "") in since_update(cloud)
    listed = cloud.call("ListStackResources", StackName="demo")["StackResourceSummaries"]
    assert [item["LogicalResourceId"] for item in listed] == ["Follower", "Logs"]


@pytest.mark.parametrize("name", ["/one", "/two"])
def test_a_failed_update_restores_the_old_values(cloud: Any, name: str) -> None:
    """In place or replaced, everything is as it was; what the update made is gone."""
    cloud.create(BASE)
    before = (retention(cloud), follower(cloud), cloud.inventory(), cloud.outputs())
    status = cloud.update(
        BASE.replace("Outputs:", BAD), Parameters=given(Name=name, Days="30", Extra="yes")
    )
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert (retention(cloud), follower(cloud), cloud.inventory(), cloud.outputs()) == before
    history = since_update(cloud)
    assert ("Bad", "CREATE_FAILED", "Encountered unsupported property Nope") in history
    assert (
        "demo",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Bad, Extra]. ",
    ) in history
    assert [item[1] for item in history if item[0] == "demo"] == [
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ]
    assert cloud.call("GetTemplate", StackName="demo")["TemplateBody"] == BASE
    assert {
        item["ParameterKey"]: item["ParameterValue"] for item in cloud.stack()["Parameters"]
    } == {
        "Days": "7",
        "Name": "/one",
        "Extra": "no",
    }
    assert cloud.refused("UpdateStack", StackName="demo", TemplateBody=BASE) == NOTHING
    assert cloud.update(BASE, Parameters=given(Days="30")) == "UPDATE_COMPLETE"
    assert retention(cloud) == {"/one": 30}


def test_a_failing_change_is_itself_undone(cloud: Any) -> None:
    """A resource whose update AWS refuses half-way gets its old values back."""
    body = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: r
      Description: %s
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: ec2.amazonaws.com}}
      ManagedPolicyArns: [%s]
"""
    capabilities = ["CAPABILITY_NAMED_IAM"]
    document = POLICY
    good = cloud.client("iam").create_policy(PolicyName="p", PolicyDocument=document)["Policy"][
        "Arn"
    ]
    cloud.create(body % ("old", good), Capabilities=capabilities)
    bad = body % ("new", "arn:aws:iam::123456789012:policy/none")
    assert cloud.update(bad, Capabilities=capabilities) == "UPDATE_ROLLBACK_COMPLETE"
    iam = cloud.client("iam")
    assert iam.get_role(RoleName="r")["Role"]["Description"] == "old"
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [item["PolicyArn"] for item in attached] == [good]


def test_disable_rollback_leaves_the_failed_update(cloud: Any) -> None:
    """UPDATE_FAILED with what was reached; a corrected update goes on from there."""
    cloud.create(BASE)
    bad = BASE.replace("Outputs:", BAD)
    assert cloud.update(bad, Parameters=given(Days="30"), DisableRollback=True) == "UPDATE_FAILED"
    assert retention(cloud) == {"/one": 30}
    assert cloud.update(bad.replace("Nope: 1", "LogGroupName: /b")) == "UPDATE_COMPLETE"
    assert retention(cloud) == {"/one": 7, "/b": 0}


def test_a_custom_name_can_not_be_replaced(cloud: Any) -> None:
    """A create-only property changes while the name stays: AWS says to rename, nothing is lost."""
    body = """
Resources:
  Key:
    Type: AWS::IAM::Role
    Properties:
      RoleName: r
      Path: %s
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
"""
    capabilities = ["CAPABILITY_NAMED_IAM"]
    cloud.create(body % "/a/", Capabilities=capabilities)
    assert cloud.update(body % "/b/", Capabilities=capabilities) == "UPDATE_ROLLBACK_COMPLETE"
    (failed,) = [item for item in cloud.events() if item[1] == "UPDATE_FAILED"]
    assert failed[2] == (
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
        "Rename r and update the stack again."
    )
    assert cloud.client("iam").get_role(RoleName="r")["Role"]["Path"] == "/a/"


def test_a_resource_can_not_become_another_type(cloud: Any) -> None:
    """Refused before anything happens."""
    cloud.create(BASE)
    other = BASE.replace("AWS::Logs::LogGroup", "AWS::S3::Bucket")
    assert cloud.refused("UpdateStack", StackName="demo", TemplateBody=other) == (
        "ValidationError: Update of resource type is not permitted. The new template modifies "
        "resource type of the following resources: [Logs]"
    )


def test_previous_values_must_exist(cloud: Any) -> None:
    """UsePreviousValue for a new parameter is refused."""
    cloud.create(BASE)
    body = BASE.replace("Parameters:", "Parameters:\n  New: {Type: String}")
    previous = [{"ParameterKey": "New", "UsePreviousValue": True}]
    assert "Cannot specify usePreviousValue" in cloud.refused(
        "UpdateStack", StackName="demo", TemplateBody=body, Parameters=previous
    )
