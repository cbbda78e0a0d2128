"""Signatures are judged by AWS's rule: botocore's pass, and a changed request does not."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.naming import scope_of
from flyback.rehearsal.signing import content_matches, signature_of

Clients = Callable[..., Any]

SECRET = "secret/with+signs"


@given(
    path=st.text(min_size=1, max_size=20),
    query=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=8), max_size=3),
    body=st.binary(max_size=50),
    service=st.sampled_from(["s3", "ec2", "lambda"]),
    presigned=st.integers(0, 1),
)
def test_botocores_signature_is_ours(
    path: str, query: dict[str, str], body: bytes, service: str, presigned: int
) -> None:
    """Any path, query and body that botocore signs has the same signature on this side."""
    signers = (S3SigV4Auth, S3SigV4QueryAuth) if service == "s3" else (SigV4Auth, SigV4QueryAuth)
    asked = urlencode(query, quote_via=quote)
    url = f"http://127.0.0.1:80/{quote(path, safe='/~')}" + (f"?{asked}" if asked else "")
    body = b"" if presigned else body  # botocore moves a presigned body into the query
    request = AWSRequest(
        "PUT", url, data=body, headers={"Host": "127.0.0.1", "X-Amz-Meta-A": "b  c"}
    )
    signers[presigned](Credentials("AKIA", SECRET, "token"), service, "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    environ = {
        "REQUEST_METHOD": "PUT",
        "RAW_URI": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "QUERY_STRING": parts.query,
    }
    for name, value in request.headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    scope = scope_of(environ)
    assert scope is not None
    assert (scope.access_key, scope.token, scope.presigned) == ("AKIA", "token", bool(presigned))
    assert signature_of(environ, body, scope, SECRET) == scope.signature
    assert signature_of(environ, body, scope, "another") != scope.signature


REFUSALS = [
    ("ec2", "describe_vpcs", "AuthFailure", "AuthFailure"),
    ("s3", "list_buckets", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("logs", "describe_log_groups", "UnrecognizedClientException", "InvalidSignatureException"),
]


@pytest.mark.parametrize(("service", "method", "unknown", "mismatch"), REFUSALS)
def test_strangers_and_forgers_are_refused_in_each_services_words(
    http: Clients, service: str, method: str, unknown: str, mismatch: str
) -> None:
    """An unknown key and a wrong secret each give the error code that AWS gives there."""
    with pytest.raises(ClientError) as refused:
        getattr(http(service, key="AKIASTRANGER00000000"), method)()
    assert refused.value.response["Error"]["Code"] == unknown
    with pytest.raises(ClientError) as refused:
        getattr(http(service, secret="guessed"), method)()
    assert refused.value.response["Error"]["Code"] == mismatch


def test_unsigned_requests_are_refused(cloud: RehearsalCloud) -> None:
    """Without a signature nothing is answered but a refusal in the service's protocol."""
    address = urlsplit(cloud.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    try:
        connection.request("GET", "/some-bucket/some-key")
        answer = connection.getresponse()
        assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
        headers = {"X-Amz-Target": "AmazonSSM.GetParameter"}
        connection.request("POST", "/", "{}", headers)
        answer = connection.getresponse()
        assert b"MissingAuthenticationTokenException" in answer.read()
    finally:
        connection.close()
    assert [entry.principal for entry in cloud.journal.entries()] == ["anonymous", "anonymous"]


def test_users_and_their_keys(cloud: RehearsalCloud, http: Clients) -> None:
    """A user's key works under the user's own name until it is switched off."""
    iam = cloud.clients("iam", "us-east-1")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    mine = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    arn = "arn:aws:iam::123456789012:user/ada"
    assert http("sts", **mine).get_caller_identity()["Arn"] == arn
    assert cloud.journal.entries()[-1].principal == arn
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        http("sts", **mine).get_caller_identity()


def test_role_sessions_end_in_simulated_time(
    cloud: RehearsalCloud, http: Clients, profile: str, passing: Callable[[float], None]
) -> None:
    """A session needs its token, bears the role's name, and is over after its duration."""
    arn = f"arn:aws:iam::123456789012:role/{profile}"
    sts = cloud.clients("sts", "us-east-1", "ec2")
    keys = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)["Credentials"]
    mine = {"key": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}
    session = {**mine, "token": keys["SessionToken"]}
    who = http("sts", **session).get_caller_identity()["Arn"]
    assert who == "arn:aws:sts::123456789012:assumed-role/machine/me"
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        http("sts", **mine).get_caller_identity()
    passing(901)
    for service, method, code in (
        ("sts", "get_caller_identity", "ExpiredToken"),
        ("s3", "list_buckets", "ExpiredToken"),
        ("logs", "describe_log_groups", "ExpiredTokenException"),
        ("ec2", "describe_vpcs", "RequestExpired"),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(http(service, **session), method)()
        assert refused.value.response["Error"]["Code"] == code


def test_an_instances_session_lasts_while_the_instance_does(
    cloud: RehearsalCloud,
    http: Clients,
    template: str,
    dlami: str,
    passing: Callable[[float], None],
) -> None:
    """IMDS would rotate the keys; so they work for days, and no longer once the machine is gone."""
    ec2 = cloud.clients("ec2", "us-east-1")
    machine = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template},
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]["InstanceId"]
    keys = cloud.clients("sts", "us-east-1", "ec2").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/machine", RoleSessionName=machine
    )["Credentials"]
    mine = {
        "key": keys["AccessKeyId"],
        "secret": keys["SecretAccessKey"],
        "token": keys["SessionToken"],
    }
    passing(3 * 86400)
    assert machine in http("sts", **mine).get_caller_identity()["Arn"]
    ec2.terminate_instances(InstanceIds=[machine])
    with pytest.raises(ClientError, match="ExpiredToken"):
        http("sts", **mine).get_caller_identity()


def test_a_role_that_does_not_exist_is_not_assumed(cloud: RehearsalCloud) -> None:
    """Moto would hand out keys for any ARN; AWS denies."""
    sts = cloud.clients("sts", "us-east-1")
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/nobody", RoleSessionName="me")


def test_presigned_urls(http: Clients) -> None:
    """A presigned URL opens its object, no other one, and only by Signature Version 4."""
    s3 = http("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="a b&ü", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a b&ü"})
    assert fetched(url) == (200, b"hello")
    status, body = fetched(url.replace("a%20b", "b%20b"))
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    old = http("s3", signature_version="s3")
    url = old.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"})
    status, body = fetched(url)
    assert (status, b"AWS4-HMAC-SHA256" in body) == (400, True)


def fetched(url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http_client(parts)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def http_client(parts: Any) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(parts.hostname, parts.port)


def test_a_body_that_is_not_what_was_signed_is_refused() -> None:
    """S3 checks the digest in the signed header against what came."""
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    assert content_matches({"HTTP_X_AMZ_CONTENT_SHA256": digest}, b"test")
    assert not content_matches({"HTTP_X_AMZ_CONTENT_SHA256": digest}, b"tampered")
    assert content_matches({"HTTP_X_AMZ_CONTENT_SHA256": "UNSIGNED-PAYLOAD"}, b"anything")
