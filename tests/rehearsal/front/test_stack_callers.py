"""CloudFormation's permissions: those of who asked for the stack operation, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

REGION = "us-east-1"
_TOPIC_THEN_BUCKET = {
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "first"}},
    "Bucket": {
        "Type": "AWS::S3::Bucket",
        "DependsOn": "Topic",
        "Properties": {"BucketName": "second-one"},
    },
}
User = Callable[[str], Any]


@pytest.fixture
def user(cloud: RehearsalCloud, http: Callable[..., Any]) -> Callable[..., User]:
    """Makes a user who may call these services; gives their clients."""

    def make(name: str, *services: str) -> User:
        iam = cloud.clients("iam", REGION)
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        actions = [f"{service}:*" for service in services]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        keys = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        return lambda service: http(service, **keys)

    return make


def _create(client: Any, name: str, resources: Any) -> None:
    client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))


def _status(cloud: RehearsalCloud, name: str) -> str:
    found = cloud.clients("cloudformation", REGION).describe_stacks(StackName=name)
    return str(found["Stacks"][0]["StackStatus"])


def _asked_by(cloud: RehearsalCloud, *actions: str) -> set[tuple[str, str]]:
    """Who was asked about which of these actions, through CloudFormation."""
    return {
        (item.principal.rpartition("/")[2], item.action)
        for item in cloud.judge.asked()
        if item.action in actions and item.via
    }


def test_the_owner_who_looks_lends_nothing(
    cloud: RehearsalCloud, user: Callable[..., User], passing: Callable[[float], None]
) -> None:
    """A stack fails at what its maker may not, though the root user asks about it meanwhile."""
    ada = user("ada", "cloudformation", "sns")
    _create(ada("cloudformation"), "s", _TOPIC_THEN_BUCKET)
    owner = cloud.clients("cloudformation", REGION)
    owner.get_template(StackName="s")
    owner.validate_template(TemplateBody=json.dumps({"Resources": _TOPIC_THEN_BUCKET}))
    passing(600)
    assert _status(cloud, "s") == "ROLLBACK_COMPLETE"
    assert cloud.clients("s3", REGION).list_buckets()["Buckets"] == []


def test_who_is_refused_changes_nothing(
    cloud: RehearsalCloud, user: Callable[..., User], passing: Callable[[float], None]
) -> None:
    """A stranger's refused DeleteStack does not take the maker's permissions away."""
    _create(user("ada", "cloudformation", "sns", "s3")("cloudformation"), "s", _TOPIC_THEN_BUCKET)
    with pytest.raises(ClientError, match="AccessDenied"):
        user("bob", "sqs")("cloudformation").delete_stack(StackName="s")
    passing(600)
    assert _status(cloud, "s") == "CREATE_COMPLETE"


def test_two_stacks_at_once_are_judged_each_as_its_makers(
    cloud: RehearsalCloud, user: Callable[..., User], passing: Callable[[float], None]
) -> None:
    """Of two users' stacks, made at once, only the one whose maker may gets its bucket."""
    ada = user("ada", "cloudformation", "sns", "s3")
    bob = user("bob", "cloudformation", "sns")
    _create(ada("cloudformation"), "may", _TOPIC_THEN_BUCKET)
    theirs = json.loads(json.dumps(_TOPIC_THEN_BUCKET).replace("first", "theirs"))
    theirs["Bucket"]["Properties"]["BucketName"] = "theirs-too"
    _create(bob("cloudformation"), "may-not", theirs)
    passing(600)
    assert (_status(cloud, "may"), _status(cloud, "may-not")) == (
        "CREATE_COMPLETE",
        "ROLLBACK_COMPLETE",
    )
    made = {("ada", "sns:CreateTopic"), ("bob", "sns:CreateTopic"), ("ada", "s3:CreateBucket")}
    assert _asked_by(cloud, "sns:CreateTopic", "s3:CreateBucket") == made
    refused = [item for item in cloud.judge.asked() if not item.allowed]
    assert {item.principal.rpartition("/")[2] for item in refused} == {"bob"}


def test_cloudformation_has_no_permissions_of_its_own(cloud: RehearsalCloud) -> None:
    """A call of its own for which no request was let through does not pass as the root user's."""
    s3 = cloud.clients("s3", REGION, "cloudformation")
    with pytest.raises(ClientError, match="CloudFormation called for nobody"):
        s3.list_buckets()


def test_what_a_schema_asks_is_of_the_request_for_the_stack(
    cloud: RehearsalCloud, user: Callable[..., User], passing: Callable[[float], None]
) -> None:
    """Not of whatever arrived last, which may be somebody else's."""
    ada = user("ada", "cloudformation", "sns", "s3")
    _create(ada("cloudformation"), "s", _TOPIC_THEN_BUCKET)
    number = cloud.journal.last
    user("bob", "sqs")
    passing(600)
    by_schema = [item for item in cloud.judge.asked() if item.by_schema]
    assert by_schema
    assert {item.number for item in by_schema} == {number}


def test_who_deletes_a_stack_that_is_being_made_deletes_as_themselves(
    cloud: RehearsalCloud, user: Callable[..., User], passing: Callable[[float], None]
) -> None:
    """The maker makes the topic, the other user's permissions remove it."""
    ada = user("ada", "cloudformation", "sns", "s3")
    bob = user("bob", "cloudformation", "sns", "s3")
    _create(ada("cloudformation"), "s", _TOPIC_THEN_BUCKET)
    passing(1)
    bob("cloudformation").delete_stack(StackName="s")
    passing(600)
    found = cloud.clients("cloudformation", REGION).list_stacks()["StackSummaries"]
    assert [item["StackStatus"] for item in found] == ["DELETE_COMPLETE"]
    by = _asked_by(cloud, "sns:CreateTopic", "sns:DeleteTopic")
    assert by == {("ada", "sns:CreateTopic"), ("bob", "sns:DeleteTopic")}
