"""The middlewares: their order, the journal, failures on purpose, and what is not emulated."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from flyback.rehearsal.call import Call, Response
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.middleware import ORDER, Authorizer, Faults, Gaps, Journal, Moto
from flyback.rehearsal.middleware.faults import Fault
from flyback.rehearsal.middleware.journal import is_mutating
from flyback.rehearsal.middleware.moto import implements

REGION = "us-east-1"
Clients = Callable[..., Any]


def test_the_order_is_the_designs() -> None:
    """Journal sees everything, then who asks, then failures, then our parts, then moto."""
    assert list(ORDER) == [Journal, Authorizer, Faults, Gaps, Moto]


def test_the_cloud_is_built_in_that_order(cloud: RehearsalCloud) -> None:
    """What runs is what the tuple says."""
    assert tuple(type(part) for part in cloud.middlewares) == ORDER


# ------------------------------------------------------------------------------- the journal


def test_every_request_is_written_down(
    cloud: RehearsalCloud, http: Clients, tmp_path: Path
) -> None:
    """Successes, refusals and errors, over the socket and in process, numbered from 1."""
    http("s3").create_bucket(Bucket="journalled")
    cloud.clients("iam", REGION, "machine").list_roles()
    with pytest.raises(ClientError):
        http("s3", secret="wrong").list_buckets()
    with pytest.raises(ClientError):
        http("s3").get_object(Bucket="journalled", Key="nothing")
    told = [
        (entry.number, entry.service, entry.operation, entry.via, entry.status, entry.error)
        for entry in cloud.journal.entries()
    ]
    assert told == [
        (1, "s3", "CreateBucket", "", 200, ""),
        (2, "iam", "ListRoles", "machine", 200, ""),
        (3, "s3", "ListBuckets", "", 403, "SignatureDoesNotMatch"),
        (4, "s3", "GetObject", "", 404, "NoSuchKey"),
    ]
    assert {entry.principal for entry in cloud.journal.entries()} == {
        "arn:aws:iam::123456789012:root"
    }
    assert {entry.time for entry in cloud.journal.entries()} == {cloud.clock.now()}
    assert [entry.number for entry in cloud.journal.mutating()] == [1]
    assert [entry.number for entry in cloud.journal.entries(after=3)] == [4]
    assert cloud.journal.mutating(after=cloud.journal.last) == ()
    path = tmp_path / "journal.jsonl"
    cloud.journal.write(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["operation"] for line in lines] == [item[2] for item in told]


MUTATING = [
    ("ec2", "RunInstances", {}, True),
    ("ec2", "RunInstances", {"DryRun": True}, False),
    ("ec2", "DescribeInstances", {}, False),
    ("ec2", "CreateTags", {}, True),
    ("s3", "PutObject", {}, True),
    ("s3", "GetObject", {}, False),
    ("s3", "HeadBucket", {}, False),
    ("s3", "DeleteObjects", {}, True),
    ("s3", "SelectObjectContent", {}, False),
    ("logs", "FilterLogEvents", {}, False),
    ("logs", "PutLogEvents", {}, True),
    ("logs", "StartQuery", {}, False),
    ("logs", "TagResource", {}, True),
    ("ecr", "BatchGetImage", {}, False),
    ("ecr", "BatchDeleteImage", {}, True),
    ("sts", "AssumeRole", {}, False),
    ("iam", "SimulatePrincipalPolicy", {}, False),
    ("iam", "PassRole", {}, True),
    ("cloudformation", "ValidateTemplate", {}, False),
    ("cloudformation", "DetectStackDrift", {}, False),
    ("cloudformation", "CreateChangeSet", {}, True),
    ("resourcegroupstaggingapi", "GetResources", {}, False),
    ("lambda", "Invoke", {}, True),
    ("scheduler", "ListSchedules", {}, False),
]


@pytest.mark.parametrize(("service", "operation", "params", "mutating"), MUTATING)
def test_what_changes_something_is_told_from_what_only_looks(
    service: str, operation: str, params: dict[str, Any], mutating: object
) -> None:
    """By the verb in the name, the model's trait, and DryRun."""
    from flyback.rehearsal.naming import model_of

    if operation not in model_of(service).operation_names:
        operation = ""  # unknown operations count as changes
    call = Call(
        number=1,
        service=service,
        operation=operation,
        region=REGION,
        account="1",
        principal="",
        params=params,
        environ={"REQUEST_METHOD": "POST"},
    )
    assert is_mutating(call) is mutating


# -------------------------------------------------------------------------------- the faults


def test_a_fault_fails_the_calls_it_names(cloud: RehearsalCloud) -> None:
    """The second and third matching call fail, others pass, and the hits are on record."""
    s3 = cloud.clients("s3", REGION)
    cloud.faults.add(
        Fault(
            service="s3",
            operation="ListBuckets",
            calls=(2, 3),
            code="SlowDown",
            message="Please reduce your request rate.",
            status=503,
        )
    )
    outcomes = []
    for _ in range(4):
        try:
            s3.list_buckets()
            outcomes.append("")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["", "SlowDown", "SlowDown", ""]
    assert [(hit.call, hit.operation, hit.error) for hit in cloud.faults.hits] == [
        (2, "ListBuckets", "SlowDown"),
        (3, "ListBuckets", "SlowDown"),
    ]
    assert [entry.error for entry in cloud.journal.entries()] == outcomes


def test_a_throttled_client_retries_and_succeeds(cloud: RehearsalCloud, http: Clients) -> None:
    """Retries of botocore see a fault as they would see AWS's throttling."""
    cloud.faults.add(
        Fault(
            service="ec2",
            operation="DescribeVpcs",
            calls=(1,),
            code="RequestLimitExceeded",
            status=503,
        )
    )
    assert http("ec2", attempts=3).describe_vpcs()["Vpcs"]
    assert [entry.status for entry in cloud.journal.entries()] == [503, 200]


def test_a_dropped_connection(cloud: RehearsalCloud, http: Clients) -> None:
    """Over the socket and in process the caller loses the connection, and the journal says so."""
    cloud.faults.add(Fault(service="*", operation="*", calls=(1, 2), drop=True))
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        http("s3").list_buckets()
    with pytest.raises(ConnectionClosedError):
        cloud.clients("s3", REGION).list_buckets()
    assert [entry.error for entry in cloud.journal.entries()] == ["ConnectionDropped"] * 2
    assert cloud.clients("s3", REGION).list_buckets()["Buckets"] == []


def test_a_late_fault_loses_the_answer_but_not_the_effect(cloud: RehearsalCloud) -> None:
    """What a client sees as a failure may have happened: the case that client tokens are for."""
    s3 = cloud.clients("s3", REGION)
    cloud.faults.add(Fault(service="s3", operation="CreateBucket", drop=True, late=True))
    with pytest.raises(ConnectionClosedError):
        s3.create_bucket(Bucket="made-anyway")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["made-anyway"]


def test_a_rate_is_drawn_from_the_seed() -> None:
    """The same seed fails the same calls; the share is about the rate."""

    def failed(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.add(Fault(service="s3", operation="*", rate=0.3, drop=True))
        for number in range(200):
            call = Call(
                number=number,
                service="s3",
                operation="GetObject",
                region="",
                account="",
                principal="",
            )
            with contextlib.suppress(ConnectionError):
                faults(call, lambda _: Response(status=200))
        return [hit.call for hit in faults.hits]

    assert failed(1) == failed(1) != failed(2)
    assert 30 <= len(failed(1)) <= 90


def posted(cloud: RehearsalCloud, path: str, body: Any = None, method: str = "POST") -> Any:
    address = urllib.parse.urlsplit(cloud.endpoint)
    connection = HTTPConnection(address.hostname or "", address.port)
    try:
        connection.request(method, f"/_flyback/{path}", json.dumps(body or {}))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_faults_over_http(cloud: RehearsalCloud) -> None:
    """Another process arms, reads and clears faults; a field that does not exist is its error."""
    fault = {"service": "s3", "operation": "ListBuckets", "code": "AccessDenied", "status": 403}
    answer = posted(cloud, "faults", {"faults": [fault]})
    assert [item["code"] for item in answer["armed"]] == ["AccessDenied"]
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.clients("s3", REGION).list_buckets()
    assert [hit["error"] for hit in posted(cloud, "faults")["hits"]] == ["AccessDenied"]
    assert posted(cloud, "faults", method="DELETE")["armed"] == []
    wrong = posted(cloud, "faults", {"faults": [{"service": "s3", "operatoin": "x"}]})
    assert "operatoin" in wrong["error"]


# ---------------------------------------------------------------------------------- the rest


def test_no_two_gaps_for_one_operation() -> None:
    """Who answers must not depend on order."""

    class Twice:
        service = "s3"
        operations = frozenset({"GetObject"})

        def answer(self, call: Call, forward: Callable[[Call], Response]) -> Response:
            return forward(call)

    with pytest.raises(ValueError, match="s3:GetObject"):
        Gaps([Twice(), Twice()])


NOT_EMULATED = [
    ("ec2", "get_spot_placement_scores", {"TargetCapacity": 1}),
    ("ec2", "request_spot_instances", {}),
    ("s3", "get_bucket_analytics_configuration", {"Bucket": "bucket", "Id": "i"}),
    ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["s3:GetObject"]}),
    ("sts", "get_session_token", {}),
    ("pricing", "describe_services", {}),
    ("health", "describe_events", {}),
]


@pytest.mark.parametrize(
    ("service", "method", "params"), NOT_EMULATED, ids=[case[1] for case in NOT_EMULATED]
)
def test_what_nobody_implements_says_so(
    cloud: RehearsalCloud, service: str, method: str, params: dict[str, Any]
) -> None:
    """`NotEmulated`, HTTP 501, with the operation's name: never an empty success."""
    client = cloud.clients(service, REGION)
    with pytest.raises(ClientError) as refused:
        getattr(client, method)(**params)
    answer = refused.value.response
    assert answer["Error"]["Code"] == "NotEmulated"
    operation = client.meta.method_to_api_mapping[method]
    assert f"{service}:{operation} is not emulated" in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_fault_of_the_emulation_itself_is_told(
    cloud: RehearsalCloud, http: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a gap or in moto is an answer and a log line, not a hanging or retrying client."""

    class Broken:
        service = "s3"
        operations = frozenset({"ListBuckets"})

        def answer(self, call: Call, forward: Callable[[Call], Response]) -> Response:
            raise ZeroDivisionError(f"{call.operation} {forward}")

    gaps = cloud.middlewares[3]
    assert isinstance(gaps, Gaps)
    gaps._routes["s3", "ListBuckets"] = Broken()
    with pytest.raises(ClientError, match="EmulationFailed") as failed:
        http("s3", attempts=3).list_buckets()
    assert "ZeroDivisionError" in failed.value.response["Error"]["Message"]
    assert "the emulation of s3:ListBuckets failed" in caplog.text
    assert [entry.error for entry in cloud.journal.entries()] == ["EmulationFailed"]


def test_the_journal_over_http(cloud: RehearsalCloud) -> None:
    """Another process reads it, from a number on."""
    for _ in range(2):
        cloud.clients("s3", REGION).list_buckets()
    entries = posted(cloud, "journal", {"after": 1})
    assert [(entry["number"], entry["operation"]) for entry in entries] == [(2, "ListBuckets")]


def test_unknown_requests_are_not_emulated_either(cloud: RehearsalCloud, http: Clients) -> None:
    """A signed request that no service model knows gets the same clear answer."""
    client = http("s3")
    request = client.meta.events
    request.register(
        "before-sign.s3.ListBuckets", lambda request, **_: setattr(request, "method", "PATCH")
    )
    with pytest.raises(ClientError, match="NotEmulated"):
        client.list_buckets()
    assert cloud.journal.entries()[-1].mutating


def test_the_product_finds_what_it_calls() -> None:
    """Either moto or a gap implements every operation of the main path."""
    wanted = {
        "s3": "CreateBucket PutObject GetObject HeadObject ListObjectsV2 DeleteObjects CopyObject",
        "logs": "CreateLogStream PutLogEvents GetLogEvents FilterLogEvents DescribeLogGroups",
        "iam": "CreateRole GetRole PutRolePolicy CreateServiceLinkedRole GetInstanceProfile",
        "ecr": "CreateRepository PutLifecyclePolicy DescribeRepositories",
        "sns": "CreateTopic Subscribe",
        "resourcegroupstaggingapi": "GetResources",
        "ec2": "RunInstances DescribeInstances CreateLaunchTemplate DescribeInstanceTypes",
    }
    for service, operations in wanted.items():
        for operation in operations.split():
            assert implements(service, operation), (service, operation)
