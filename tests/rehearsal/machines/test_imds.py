"""The metadata service against the user guide's rules and botocore's own client."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.credentials import InstanceMetadataProvider
from botocore.utils import IMDSRegionProvider, InstanceMetadataFetcher
from hypothesis import given
from hypothesis import strategies as st

from flyback.rehearsal.imds import Answer, Imds, Profile
from flyback.rehearsal.simulator.ports import LoopbackServer, Then

TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"
ROLE = "inst-role"


class Facts:
    """A machine that a test describes."""

    def __init__(self, **instance: Any) -> None:
        self.instance: dict[str, Any] = {
            "InstanceId": "i-0abc",
            "ImageId": "ami-1",
            "InstanceType": "g4dn.xlarge",
            "OwnerId": "123456789012",
            "Placement": {"AvailabilityZone": "eu-west-1b"},
            "PrivateIpAddress": "10.0.0.5",
            "PrivateDnsName": "ip-10-0-0-5.eu-west-1.compute.internal",
            "LaunchTime": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
            "MetadataOptions": {"InstanceMetadataTags": "enabled"},
            "Tags": [{"Key": "flyback:run-id", "Value": "a-1"}, {"Key": "Name", "Value": "a b/c"}],
            **instance,
        }

    def describe(self) -> Mapping[str, Any]:
        return self.instance

    def user_data(self) -> bytes | None:
        return b"#!/bin/bash\n\x00\xff"

    def profile(self) -> Profile | None:
        return Profile(
            arn="arn:aws:iam::123456789012:instance-profile/p",
            profile_id="AIPA1",
            role=ROLE,
            role_arn="arn:aws:iam::123456789012:role/inst-role",
        )

    def credentials(self) -> Mapping[str, str]:
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIA1",
            "SecretAccessKey": "secret",
            "Token": "token",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Expiration": "2999-01-01T00:00:00Z",
        }


class Session:
    """A client of the service with a token, and simulated time."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.now = 1000.0
        self.imds = Imds(facts or Facts(), lambda: self.now, random.Random(1))
        self.token = self.new_token("60").body.decode()

    def new_token(self, seconds: str) -> Answer:
        return self.imds.answer("PUT", "/latest/api/token", {TTL: seconds})

    def get(self, path: str) -> Answer:
        return self.imds.answer("GET", f"/latest/{path}", {TOKEN: self.token})

    def text(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status == 200, path
        return answer.body.decode()


def test_version_1_is_refused() -> None:
    """Without a token, or with one that was never given, the answer is 401."""
    imds = Session().imds
    assert imds.answer("GET", "/latest/meta-data/instance-id", {}).status == 401
    assert imds.answer("GET", "/latest/meta-data/instance-id", {TOKEN: "x"}).status == 401
    assert imds.answer("GET", "/", {}).status == 401


def test_a_token_expires_in_simulated_time() -> None:
    """A token is good for its seconds on the rehearsal's clock, and no longer."""
    session = Session()
    session.now += 59
    assert session.get("meta-data/instance-id").status == 200
    session.now += 1
    assert session.get("meta-data/instance-id").status == 401


@given(st.one_of(st.integers().map(str), st.text(max_size=8)))
def test_a_token_lives_1_to_21600_seconds(lifetime: str) -> None:
    """Any other lifetime is a bad request, whatever was sent."""
    good = lifetime.isascii() and lifetime.isdigit() and 1 <= int(lifetime) <= 21600
    answer = Session().new_token(lifetime)
    assert answer.status == (200 if good else 400)
    assert not good or answer.headers[TTL] == lifetime


def test_a_forwarded_token_request_is_forbidden() -> None:
    """A request that came through a proxy gets no token."""
    headers = {TTL: "60", "x-forwarded-for": "10.0.0.1"}
    assert Session().imds.answer("PUT", "/latest/api/token", headers).status == 403


def test_other_methods_are_not_allowed() -> None:
    """Nothing can be written to the service."""
    session = Session()
    for method in ("POST", "PUT", "DELETE"):
        answer = session.imds.answer(method, "/latest/meta-data/ami-id", {TOKEN: session.token})
        assert answer.status == 405


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/instance-id", "i-0abc"),
        ("meta-data/instance-type", "g4dn.xlarge"),
        ("meta-data/instance-life-cycle", "on-demand"),
        ("meta-data/ami-id", "ami-1"),
        ("meta-data/local-ipv4", "10.0.0.5"),
        ("meta-data/hostname", "ip-10-0-0-5.eu-west-1.compute.internal"),
        ("meta-data/placement/region", "eu-west-1"),
        ("meta-data/placement/availability-zone", "eu-west-1b"),
        ("meta-data/placement/", "availability-zone\nregion"),
        ("meta-data/services/domain", "amazonaws.com"),
        ("meta-data/tags/instance/", "Name\nflyback:run-id"),
        ("meta-data/tags/instance", "Name\nflyback:run-id"),
        ("meta-data/tags/instance/Name", "a b/c"),
        ("meta-data/tags/instance/flyback%3Arun-id", "a-1"),
        ("meta-data/iam/security-credentials/", ROLE),
        ("meta-data/iam/", "info\nsecurity-credentials/"),
        ("", "dynamic\nmeta-data\nuser-data"),
    ],
)
def test_values_and_listings(path: str, text: str) -> None:
    """Values are text; a folder lists its names, those of folders with a slash."""
    assert Session().text(path) == text


@pytest.mark.parametrize(
    "path",
    [
        "meta-data/public-ipv4",
        "meta-data/nothing",
        "meta-data/inst",
        "meta-data/spot/instance-action",
        "meta-data/events/recommendations/rebalance",
        "meta-data/iam/security-credentials/another-role",
        "meta-data/tags/instance/none",
        "other",
        "dynamic/instance-identity/signature",
    ],
)
def test_what_is_not_there_is_404(path: str) -> None:
    """A machine without a public address, a notice, that role or that tag says so."""
    assert Session().get(path).status == 404


def test_tags_only_where_enabled() -> None:
    """Without InstanceMetadataTags=enabled the machine can't see its tags."""
    assert Session(Facts(MetadataOptions={})).get("meta-data/tags/instance/").status == 404


def test_a_disabled_endpoint_answers_nothing() -> None:
    """HttpEndpoint=disabled means 403 for everything."""
    session = Session(Facts(MetadataOptions={"HttpEndpoint": "disabled"}))
    assert session.get("meta-data/instance-id").status == 403


def test_user_data_comes_back_byte_for_byte() -> None:
    """User-data is not text: any byte survives."""
    assert Session().get("user-data").body == b"#!/bin/bash\n\x00\xff"


def test_the_identity_document() -> None:
    """Account, region, type and launch time, under AWS's names."""
    document = json.loads(Session().text("dynamic/instance-identity/document"))
    expected = {
        "accountId": "123456789012",
        "region": "eu-west-1",
        "availabilityZone": "eu-west-1b",
        "instanceId": "i-0abc",
        "instanceType": "g4dn.xlarge",
        "imageId": "ami-1",
        "architecture": "x86_64",
        "pendingTime": "2026-01-02T03:04:05Z",
        "privateIp": "10.0.0.5",
    }
    assert {name: document[name] for name in expected} == expected


def test_the_profile_and_its_credentials() -> None:
    """iam/info names the profile; the role's document has AWS's fields."""
    session = Session()
    info = json.loads(session.text("meta-data/iam/info"))
    assert info["InstanceProfileArn"].endswith(":instance-profile/p")
    document = json.loads(session.text(f"meta-data/iam/security-credentials/{ROLE}"))
    assert document["Code"] == "Success"
    assert document["AccessKeyId"] == "ASIA1"


def test_notices() -> None:
    """A notice appears once it is given, with its action and its time in UTC."""
    session = Session()
    session.imds.notice("terminate", 120.0)
    session.imds.recommend_rebalance(60.0)
    action = json.loads(session.text("meta-data/spot/instance-action"))
    assert action == {"action": "terminate", "time": "1970-01-01T00:02:00Z"}
    assert session.text("meta-data/spot/termination-time") == "1970-01-01T00:02:00Z"
    notice = json.loads(session.text("meta-data/events/recommendations/rebalance"))
    assert notice == {"noticeTime": "1970-01-01T00:01:00Z"}
    session.imds.notice("stop", 180.0)
    assert json.loads(session.text("meta-data/spot/instance-action"))["action"] == "stop"


@pytest.fixture
def endpoint() -> Iterator[str]:
    imds = Imds(Facts(), lambda: 0.0, random.Random(1))

    def answer(
        method: str, path: str, headers: Mapping[str, str], _body: bytes
    ) -> tuple[Answer, Then | None]:
        return imds.answer(method, path, headers), None

    server = LoopbackServer(answer)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def test_botocore_gets_credentials_and_region(endpoint: str) -> None:
    """The provider in botocore reads the role's credentials and the region over HTTP."""
    config = {"ec2_metadata_service_endpoint": endpoint, "ec2_metadata_v1_disabled": True}
    fetcher = InstanceMetadataFetcher(timeout=5, num_attempts=1, config=config)
    credentials = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    assert credentials is not None
    assert credentials.method == "iam-role"
    assert credentials.get_frozen_credentials() == ("ASIA1", "secret", "token", None)


def test_botocore_finds_the_region(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does its region provider, as an agent without AWS_REGION would."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
    assert IMDSRegionProvider(botocore.session.Session()).provide() == "eu-west-1"


def test_an_error_of_the_service_is_told() -> None:
    """A failure behind the service is a 500 with its reason, not a closed connection."""

    def fail(*_: Any) -> tuple[Answer, Then | None]:
        raise RuntimeError("no such instance")

    server = LoopbackServer(fail)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/latest/")
    answer = connection.getresponse()
    assert answer.status == 500
    assert b"no such instance" in answer.read()
    connection.close()
    server.close()
