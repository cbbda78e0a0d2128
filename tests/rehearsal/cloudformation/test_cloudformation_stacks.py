"""Stacks over their life: create, fail, roll back, and what each request answers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.call import Call
from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.cloudformation import CloudFormationGap

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

FAILING = """
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: demo-bucket}}
  Slow: {Type: AWS::EC2::InternetGateway}
  Role:
    Type: AWS::IAM::Role
    DependsOn: Bucket
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      ManagedPolicyArns: [arn:aws:iam::123456789012:policy/none]
  Never: {Type: AWS::Logs::LogGroup, DependsOn: Role}
"""

CREATED = [
    (0, "demo", "CREATE_IN_PROGRESS", "User Initiated"),
    (0, "Bucket", "CREATE_IN_PROGRESS", ""),
    (0, "Bucket", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
    (0, "Logs", "CREATE_IN_PROGRESS", ""),
    (0, "Logs", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
    (6, "Logs", "CREATE_COMPLETE", ""),
    (22, "Bucket", "CREATE_COMPLETE", ""),
    (22, "Policy", "CREATE_IN_PROGRESS", ""),
    (22, "Policy", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
    (24, "Policy", "CREATE_COMPLETE", ""),
    (24, "demo", "CREATE_COMPLETE", ""),
    (24, "demo", "DELETE_IN_PROGRESS", "User Initiated"),
    (24, "Logs", "DELETE_IN_PROGRESS", ""),
    (24, "Policy", "DELETE_IN_PROGRESS", ""),
    (26, "Logs", "DELETE_COMPLETE", ""),
    (26, "Policy", "DELETE_COMPLETE", ""),
    (26, "Bucket", "DELETE_IN_PROGRESS", ""),
    (28, "Bucket", "DELETE_COMPLETE", ""),
    (28, "demo", "DELETE_COMPLETE", ""),
]


def test_the_whole_history_of_a_small_stack(cloud: Any) -> None:
    """Dependency order, independent resources at once, deletion backwards; every event and time."""
    before = cloud.inventory()
    assert cloud.create(SMALL) == "CREATE_COMPLETE"
    stack_id = cloud.stack()["StackId"]
    cloud.call("DeleteStack", StackName="demo")
    found = cloud.call("DescribeStackEvents", StackName=stack_id)["StackEvents"]
    assert [
        (
            item["Timestamp"].timestamp() - 1_700_000_000,
            item["LogicalResourceId"],
            item["ResourceStatus"],
            item.get("ResourceStatusReason", ""),
        )
        for item in reversed(found)
    ] == CREATED
    assert len({item["EventId"] for item in found}) == len(found)
    assert cloud.inventory() == before


def test_a_request_is_answered_at_once_and_worked_off_later(cloud: Any) -> None:
    """CreateStack and DeleteStack return while the stack is IN_PROGRESS."""
    cloud.clock.hold = True
    assert cloud.create(SMALL) == "CREATE_IN_PROGRESS"
    assert cloud.client("s3").list_buckets()["Buckets"] == []
    cloud.clock.run()
    assert cloud.status() == "CREATE_COMPLETE"
    stack_id = cloud.stack()["StackId"]
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status() == "DELETE_IN_PROGRESS"
    cloud.clock.run()
    assert cloud.status(stack_id) == "DELETE_COMPLETE"


def test_what_describe_stacks_says(cloud: Any) -> None:
    """Everything a caller gave and everything that came of it; NoEcho values are masked."""
    cloud.create(
        SMALL,
        Tags=[{"Key": "Project", "Value": "p"}],
        Parameters=[{"ParameterKey": "Days", "ParameterValue": "14"}],
        EnableTerminationProtection=True,
        ClientRequestToken="once",
    )
    found = cloud.stack()
    created = found.pop("CreationTime")
    assert created.isoformat() == "2023-11-14T22:13:20+00:00"
    assert found == {
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/demo/"
        + found["StackId"].rsplit("/", 1)[1],
        "StackName": "demo",
        "Description": "a bucket, its policy and a log group",
        "StackStatus": "CREATE_COMPLETE",
        "DisableRollback": False,
        "EnableTerminationProtection": True,
        "RetainExceptOnCreate": False,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        "Capabilities": [],
        "Tags": [{"Key": "Project", "Value": "p"}],
        "Parameters": [
            {"ParameterKey": "Days", "ParameterValue": "14"},
            {"ParameterKey": "Secret", "ParameterValue": "****"},
        ],
        "Outputs": [
            {
                "OutputKey": "Bucket",
                "OutputValue": "demo-bucket",
                "Description": "the bucket",
                "ExportName": "demo-bucket-name",
            }
        ],
    }
    assert cloud.call("GetTemplate", StackName="demo")["TemplateBody"] == SMALL


def test_resources_are_told_in_three_ways(cloud: Any) -> None:
    """DescribeStackResources, ListStackResources and DescribeStackResource agree."""
    cloud.create(SMALL)
    listed = cloud.call("ListStackResources", StackName="demo")["StackResourceSummaries"]
    assert [
        (
            item["LogicalResourceId"],
            item["PhysicalResourceId"],
            item["ResourceType"],
            item["ResourceStatus"],
        )
        for item in listed
    ] == [
        ("Bucket", "demo-bucket", "AWS::S3::Bucket", "CREATE_COMPLETE"),
        ("Logs", "/demo", "AWS::Logs::LogGroup", "CREATE_COMPLETE"),
        ("Policy", "demo-bucket", "AWS::S3::BucketPolicy", "CREATE_COMPLETE"),
    ]
    found = cloud.call("DescribeStackResources", PhysicalResourceId="/demo")["StackResources"]
    assert [item["LogicalResourceId"] for item in found] == ["Bucket", "Logs", "Policy"]
    one = cloud.call("DescribeStackResources", StackName="demo", LogicalResourceId="Logs")
    assert [item["PhysicalResourceId"] for item in one["StackResources"]] == ["/demo"]
    assert cloud.physical("Logs") == "/demo"
    assert (
        cloud.refused("DescribeStackResource", StackName="demo", LogicalResourceId="Nobody")
        == "ValidationError: Resource Nobody does not exist for stack demo"
    )


def test_a_failed_create_rolls_back_and_leaves_nothing(cloud: Any) -> None:
    """CREATE_FAILED with the reason, what was under way is cancelled, all is deleted."""
    before = cloud.inventory()
    assert cloud.create(FAILING, Capabilities=["CAPABILITY_IAM"]) == "ROLLBACK_COMPLETE"
    assert cloud.inventory() == before
    history = cloud.events()
    failed = [item for item in history if item[1] == "CREATE_FAILED"]
    assert [item[0] for item in failed] == ["Role"]
    assert failed[0][2].startswith(
        'Resource handler returned message: "Policy arn:aws:iam::123456789012:policy/none does not '
        "exist or is not attachable. (Service: Iam, Status Code: 404, Request ID: "
    )
    assert failed[0][2].endswith("HandlerErrorCode: NotFound)")
    assert (
        "demo",
        "ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Role]. Rollback requested by user.",
    ) in history
    assert not [item for item in history if item[0] == "Never"]
    assert history[-1] == ("demo", "ROLLBACK_COMPLETE", "")
    assert cloud.refused("UpdateStack", StackName="demo", TemplateBody=SMALL).endswith(
        "is in ROLLBACK_COMPLETE state and can not be updated."
    )
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.create(SMALL) == "CREATE_COMPLETE"


def test_a_failure_cancels_what_is_under_way(cloud: Any) -> None:
    """A resource that was being made when another failed is CREATE_FAILED, cancelled."""
    body = """
Resources:
  Bad: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: "/taken"}}
  Slow: {Type: AWS::EC2::InternetGateway}
"""
    cloud.client("logs").create_log_group(logGroupName="/taken")
    before = cloud.inventory()
    assert cloud.create(body) == "ROLLBACK_COMPLETE"
    history = cloud.events()
    assert ("Slow", "CREATE_FAILED", "Resource creation cancelled") in history
    assert (
        "demo",
        "ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Bad, Slow]. Rollback requested by user.",
    ) in history
    assert ("Bad", "DELETE_COMPLETE", "") in history
    assert cloud.inventory() == before, "what was there before is not deleted with the rollback"


def test_a_half_made_resource_is_rolled_back_too(cloud: Any) -> None:
    """A bucket whose lifecycle S3 refuses exists already; the rollback finds and deletes it."""
    body = """
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      LifecycleConfiguration:
        Rules: [{Status: Enabled, ExpirationInDays: 1, ExpiredObjectDeleteMarker: true}]
"""
    assert cloud.create(body) == "ROLLBACK_COMPLETE"
    assert cloud.client("s3").list_buckets()["Buckets"] == []
    (failed,) = [item for item in cloud.events() if item[1] == "CREATE_FAILED"]
    assert "(Service: S3, Status Code: 400" in failed[2]


@pytest.mark.parametrize(
    ("given", "status", "left"),
    [
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", 1),
        ({"DisableRollback": True}, "CREATE_FAILED", 1),
        ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", 0),
    ],
)
def test_on_failure_decides_what_stays(
    cloud: Any, given: dict[str, Any], status: str, left: int
) -> None:
    """DO_NOTHING and DisableRollback leave the half-made stack, DELETE takes it all away."""
    answer = cloud.call(
        "CreateStack",
        StackName="demo",
        TemplateBody=FAILING,
        Capabilities=["CAPABILITY_IAM"],
        **given,
    )
    assert cloud.status(answer["StackId"]) == status
    assert len(cloud.client("s3").list_buckets()["Buckets"]) == left


def test_capabilities_must_be_acknowledged(cloud: Any) -> None:
    """Roles need CAPABILITY_IAM, roles with a name CAPABILITY_NAMED_IAM, which covers both."""
    role = "Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Statement: []}"
    plain = f"Resources: {{R: {{{role}}}}}}}"
    named = f"Resources: {{R: {{{role}, RoleName: me}}}}}}"

    def refused(body: str, *given: str) -> str:
        return str(
            cloud.refused(
                "CreateStack", StackName="demo", TemplateBody=body, Capabilities=list(given)
            )
        )

    code = "InsufficientCapabilitiesException: Requires capabilities : "
    assert refused(plain) == f"{code}[CAPABILITY_IAM]"
    assert refused(named) == f"{code}[CAPABILITY_NAMED_IAM]"
    assert refused(named, "CAPABILITY_IAM") == f"{code}[CAPABILITY_NAMED_IAM]"
    assert cloud.create(plain, Capabilities=["CAPABILITY_NAMED_IAM"]) == "CREATE_COMPLETE"


def test_what_does_not_exist_says_so(cloud: Any) -> None:
    """Each reading operation has its own sentence; deleting nothing succeeds."""
    code = "ValidationError: "
    for operation, sentence in (
        ("DescribeStacks", "Stack with id demo does not exist"),
        ("DescribeStackEvents", "Stack [demo] does not exist"),
        ("DescribeStackResources", "Stack with id demo does not exist"),
        ("ListStackResources", "Stack with id demo does not exist"),
        ("GetTemplate", "Stack with id demo does not exist"),
        ("ListChangeSets", "Stack [demo] does not exist"),
    ):
        assert cloud.refused(operation, StackName="demo") == code + sentence
    assert (
        cloud.refused("UpdateStack", StackName="demo", TemplateBody=SMALL)
        == f"{code}Stack [demo] does not exist"
    )
    assert cloud.call("DeleteStack", StackName="demo") == {}


def test_a_name_is_taken_until_its_stack_is_gone(cloud: Any) -> None:
    """AlreadyExists while it lives; a deleted stack is found by id only, and stays in the list."""
    cloud.create(SMALL)
    first = cloud.stack()["StackId"]
    assert cloud.refused("CreateStack", StackName="demo", TemplateBody=SMALL) == (
        "AlreadyExistsException: Stack [demo] already exists"
    )
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.refused("DescribeStacks", StackName="demo").endswith("does not exist")
    assert cloud.stack(first)["StackStatus"] == "DELETE_COMPLETE"
    assert cloud.stack(first)["DeletionTime"] is not None
    assert cloud.call("DescribeStacks")["Stacks"] == []
    cloud.create(SMALL)
    assert cloud.stack()["StackId"] != first
    found = cloud.call("ListStacks", StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert [item["StackId"] for item in found] == [first]
    assert len(cloud.call("ListStacks")["StackSummaries"]) == 2


def test_the_same_token_creates_once(cloud: Any) -> None:
    """A retried CreateStack with its client request token finds the stack that it made."""
    given = {"StackName": "demo", "TemplateBody": SMALL, "ClientRequestToken": "t-1"}
    first = cloud.call("CreateStack", **given)
    assert cloud.call("CreateStack", **given) == first
    event = cloud.call("DescribeStackEvents", StackName="demo")["StackEvents"][0]
    assert event["ClientRequestToken"] == "t-1"


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("CreateStack", {"TemplateBody": SMALL, "RoleARN": "arn:aws:iam::123456789012:role/role"}),
        ("CreateStack", {"TemplateBody": SMALL, "TimeoutInMinutes": 5}),
        ("DetectStackDrift", {}),
        ("CancelUpdateStack", {}),
    ],
)
def test_requests_beyond_the_rehearsal_are_refused(
    cloud: Any, operation: str, given: dict[str, Any]
) -> None:
    """A parameter or an operation that is not emulated is named, never ignored."""
    found = cloud.refused(operation, StackName="demo", **given)
    assert found.startswith("NotEmulated: not emulated: ")
    assert f"cloudformation:{operation}" in found


def test_no_operation_reaches_motos_own_cloudformation(cloud: Any) -> None:
    """The gap owns all of the service's operations, those of today's botocore."""
    assert {"CreateStack", "ListStackSets", "DetectStackDrift"} <= cloud.gap.operations
    assert cloud.gap.service == "cloudformation"


def test_the_same_story_has_the_same_ids(account: None, make_cloud: Any) -> None:  # noqa: ARG001  # moto
    """Stack ids, event ids and generated names depend on what happened, not on chance."""

    def story() -> list[Any]:
        cloud = make_cloud()
        cloud.create("Resources: {B: {Type: AWS::S3::Bucket}, T: {Type: AWS::SNS::Topic}}")
        found = cloud.call("DescribeStackEvents", StackName="demo")["StackEvents"]
        cloud.call("DeleteStack", StackName="demo")
        return list(found)

    assert story() == story()


class Throttled:
    """EC2 that never has time."""

    def __getattr__(self, name: str) -> Any:
        def refuse(**_arguments: Any) -> Any:
            error = {
                "Error": {"Code": "RequestLimitExceeded", "Message": "Request limit exceeded."}
            }
            raise ClientError(error, name)

        return refuse


def test_a_failing_lookup_fails_the_resource_not_the_rehearsal(make_cloud: Any) -> None:
    """Throttled while a zone is looked up or a resource made: CREATE_FAILED with AWS's sentence."""
    cloud = make_cloud(clients=lambda _service, _region: Throttled())
    body = """
Parameters: {Vpc: {Type: String, Default: vpc-0123456789abcdef0}}
Resources:
  %s
"""
    looked_up = (
        "Subnet: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24, "
        "AvailabilityZone: !Select [0, !GetAZs '']}}"
    )
    assert cloud.create(body % looked_up) == "ROLLBACK_COMPLETE"
    assert ("Subnet", "CREATE_FAILED", "Request limit exceeded.") in cloud.events()
    made = "Gateway: {Type: AWS::EC2::InternetGateway}"
    assert cloud.create(body % made, "second") == "ROLLBACK_COMPLETE"
    (failed,) = [item for item in cloud.events("second") if item[1] == "CREATE_FAILED"]
    assert failed[2].endswith("HandlerErrorCode: Throttling)")
    typed = (body % made).replace("Type: String", "Type: 'AWS::EC2::VPC::Id'")
    assert cloud.refused("CreateStack", StackName="third", TemplateBody=typed) == (
        "RequestLimitExceeded: Request limit exceeded."
    )


def test_core_yaml_comes_and_goes(cloud: Any) -> None:
    """The product's own template deploys as it is, a second time changes nothing, no rest stays."""
    import flyback.infra

    folder = Path(str(flyback.infra.__file__)).parent / "templates"
    body = (folder / "core.yaml").read_text(encoding="utf-8")
    before = cloud.inventory()
    assert cloud.create(body, Capabilities=["CAPABILITY_IAM"]) == "CREATE_COMPLETE"
    assert (
        cloud.refused(
            "UpdateStack", StackName="demo", TemplateBody=body, Capabilities=["CAPABILITY_IAM"]
        )
        == "ValidationError: No updates are to be performed."
    )
    stack_id = cloud.stack()["StackId"]
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
    assert cloud.inventory() == before


def test_on_the_rehearsals_own_clock(account: None, make_cloud: Any) -> None:  # noqa: ARG001  # moto
    """With the real discrete-event clock a client that polls sees progress, then the end."""
    aws = make_cloud().client
    clock = VirtualClock(1_700_000_000.0)
    gap = CloudFormationGap(lambda service, _region: aws(service), clock)
    seen: list[str] = []

    def request(operation: str, **params: Any) -> Any:
        call = Call(
            number=1,
            service="cloudformation",
            operation=operation,
            region="us-east-1",
            account="123456789012",
            principal="me",
            params=params,
        )
        return gap.answer(call, lambda _call: pytest.fail("nothing is moto's"))

    def client(time: Any) -> None:
        request("CreateStack", StackName="demo", TemplateBody=SMALL)
        while not seen or seen[-1].endswith("IN_PROGRESS"):
            seen.append(request("DescribeStacks", StackName="demo")["Stacks"][0]["StackStatus"])
            time.sleep(5)

    thread = clock.spawn("client", client)
    assert isinstance(thread, threading.Thread)
    thread.join(timeout=60)
    clock.close()
    assert seen == ["CREATE_IN_PROGRESS"] * 5 + ["CREATE_COMPLETE"]
