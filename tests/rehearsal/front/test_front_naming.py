"""Requests as boto3 writes them are named and parsed back to what was asked."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.config import Config

from flyback.rehearsal.naming import model_of, name_request, scope_of
from flyback.rehearsal.parsing import parse_params

SESSION = boto3.Session()  # one, for each new one reads the service models again
TAGS = [{"Key": "a", "Value": "b & ü"}, {"Key": "c", "Value": " "}]

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("ec2", "DescribeInstances", {"Filters": [{"Name": "tag:x", "Values": ["1", "2"]}]}),
    (
        "ec2",
        "CreateFleet",
        {
            "Type": "instant",
            "TargetCapacitySpecification": {"TotalTargetCapacity": 1},
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": "lt-0123456789abcdef0",
                        "Version": "$Latest",
                    },
                    "Overrides": [
                        {
                            "InstanceType": "g4dn.xlarge",
                            "SubnetId": "subnet-1",
                            "Priority": 1.5,
                            "BlockDeviceMappings": [
                                {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True}}
                            ],
                        }
                    ],
                }
            ],
            "TagSpecifications": [{"ResourceType": "instance", "Tags": TAGS}],
        },
    ),
    ("iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": "{}", "Tags": TAGS}),
    ("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::1:role/abcdefgh", "RoleSessionName": "me"}),
    (
        "cloudformation",
        "CreateStack",
        {
            "StackName": "stack",
            "TemplateBody": "a: 1\n",
            "Parameters": [{"ParameterKey": "k", "ParameterValue": "v"}],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Tags": TAGS,
        },
    ),
    (
        "logs",
        "PutLogEvents",
        {
            "logGroupName": "/a",
            "logStreamName": "b",
            "logEvents": [{"timestamp": 1, "message": "ü"}],
        },
    ),
    ("ssm", "GetParameter", {"Name": "/aws/service/x", "WithDecryption": True}),
    ("ecr", "BatchGetImage", {"repositoryName": "repo", "imageIds": [{"imageTag": "t"}]}),
    ("resourcegroupstaggingapi", "GetResources", {"TagFilters": [{"Key": "a", "Values": ["b"]}]}),
    ("cloudwatch", "DescribeAlarms", {"AlarmNames": ["a"]}),
    ("lambda", "GetFunction", {"FunctionName": "arn:aws:lambda:us-east-1:1:function:f"}),
    ("scheduler", "GetSchedule", {"Name": "s", "GroupName": "g"}),
    ("batch", "DescribeJobs", {"jobs": ["j"]}),
    ("s3", "ListBuckets", {}),
    ("s3", "CreateBucket", {"Bucket": "bucket"}),
    ("s3", "HeadBucket", {"Bucket": "bucket"}),
    ("s3", "ListObjectsV2", {"Bucket": "bucket", "Prefix": "a/ü b", "MaxKeys": 7}),
    ("s3", "ListObjectVersions", {"Bucket": "bucket", "Prefix": "a"}),
    ("s3", "GetBucketVersioning", {"Bucket": "bucket"}),
    ("s3", "PutObject", {"Bucket": "bucket", "Key": "a/b c+d&ü.txt", "IfNoneMatch": "*"}),
    ("s3", "GetObject", {"Bucket": "bucket", "Key": "a/", "Range": "bytes=0-1"}),
    ("s3", "HeadObject", {"Bucket": "bucket", "Key": "k"}),
    ("s3", "DeleteObject", {"Bucket": "bucket", "Key": "k", "VersionId": "v"}),
    ("s3", "CreateMultipartUpload", {"Bucket": "bucket", "Key": "k"}),
    ("s3", "UploadPart", {"Bucket": "bucket", "Key": "k", "UploadId": "u", "PartNumber": 2}),
    ("s3", "AbortMultipartUpload", {"Bucket": "bucket", "Key": "k", "UploadId": "u"}),
    (
        "s3",
        "DeleteObjects",
        {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
    ),
]


def written(service: str, operation: str, params: Mapping[str, Any]) -> Any:
    """The request that boto3 would send."""
    client = SESSION.client(
        service,
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    sent = []

    def stop(request: Any, **_: Any) -> None:
        sent.append(request)
        raise InterruptedError

    client.meta.events.register("before-send", stop)
    method = client.meta.method_to_api_mapping
    name = next(name for name, api in method.items() if api == operation)
    with pytest.raises(InterruptedError):
        getattr(client, name)(**params)
    client.close()
    return sent[0]


def environ_of(request: Any, host: str | None = None) -> tuple[dict[str, Any], bytes]:
    """The request as a server gets it."""
    parts = urlsplit(request.url)
    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    body = body.encode() if isinstance(body, str) else bytes(body)
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path).encode().decode("latin-1"),
        "RAW_URI": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port),
        "HTTP_HOST": host or parts.netloc,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode() if isinstance(value, bytes) else str(value)
        environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = text
    return environ, body


@pytest.mark.parametrize(
    ("service", "operation", "params"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_what_boto3_asks_is_what_arrives(
    service: str, operation: str, params: dict[str, Any]
) -> None:
    """Service, operation, region and every parameter survive the way over the wire."""
    environ, body = environ_of(written(service, operation, params))
    scope = scope_of(environ)
    named = name_request(environ, body, scope)
    assert (named.service, named.operation, named.region) == (service, operation, "eu-west-1")
    parsed = parse_params(named, body)
    assert {key: parsed[key] for key in params} == params


def test_a_bucket_in_the_host_is_a_bucket_in_the_path() -> None:
    """Virtual-hosted requests, on AWS's names and on localhost, mean the same as path-style."""
    request = written("s3", "GetObject", {"Bucket": "my.bucket", "Key": "a b/c"})
    environ, body = environ_of(request)
    environ["RAW_URI"] = environ["RAW_URI"].removeprefix("/my.bucket")
    environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/my.bucket")
    for host in ("my.bucket.localhost:4566", "my.bucket.s3.eu-west-1.amazonaws.com"):
        named = name_request({**environ, "HTTP_HOST": host}, body, scope_of(environ))
        params = parse_params(named, body)
        assert named.operation == "GetObject"
        assert (params["Bucket"], params["Key"]) == ("my.bucket", "a b/c")


def test_unsigned_requests_tell_their_service_otherwise() -> None:
    """By version, target or host; what tells nothing is taken for S3, as a browser would mean."""
    base = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "RAW_URI": "/", "HTTP_HOST": "127.0.0.1"}
    form = {**base, "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    body = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    named = name_request(form, body, None)
    assert (named.service, named.operation) == ("sts", "AssumeRoleWithWebIdentity")
    target = {**base, "HTTP_X_AMZ_TARGET": "Logs_20140328.PutLogEvents"}
    assert name_request(target, b"{}", None).operation == "PutLogEvents"
    host = {**form, "HTTP_HOST": "iam.amazonaws.com"}
    assert name_request(host, b"", None).service == "iam"
    assert name_request({**base, "REQUEST_METHOD": "GET"}, b"", None).operation == "ListBuckets"


def test_what_nobody_knows_has_no_name() -> None:
    """Unknown services and operations are named as far as they can be, and never guessed."""
    environ, body = environ_of(written("sts", "GetCallerIdentity", {}))
    unknown = body.replace(b"GetCallerIdentity", b"GetLost")
    assert name_request(environ, unknown, scope_of(environ)).operation == ""
    forged = {
        **environ,
        "HTTP_AUTHORIZATION": environ["HTTP_AUTHORIZATION"].replace("/sts/", "/nosuch/"),
    }
    named = name_request(forged, body, scope_of(forged))
    assert (named.service, named.operation) == ("nosuch", "")
    assert model_of("nosuch") is None
