"""Requests by the standard library: what is unusual goes to boto3, what passes is repeated."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import AccessDeniedError, NotFoundError, ServiceError
from flyback.spec.clock import SystemClock
from flyback.store.retry import Retry
from flyback.store.s3 import S3Store
from flyback.store.s3_access import S3Access
from flyback.store.s3_http import S3Http
from flyback.store.s3_signing import Unusual

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


@pytest.mark.parametrize(
    "setting",
    [
        {"https_proxy": "http://proxy:3128"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_REGION": "cn-north-1"},
    ],
)
def test_what_is_unusual_is_left_to_boto3(setting: dict[str, str]) -> None:
    """Proxies, special endpoints and other partitions."""
    with pytest.raises(Unusual):
        S3Http("bucket", S3Access(environ=ENVIRON | setting))


@pytest.mark.parametrize(
    "name", ["with.dots", "arn:aws:s3:eu-west-1:1:accesspoint/x", "x--use1--x-s3"]
)
def test_unusual_buckets_are_left_to_boto3(name: str) -> None:
    """Names that do not fit the certificate, access points, directory buckets."""
    with pytest.raises(Unusual):
        S3Http(name, S3Access(environ=ENVIRON))


def test_the_endpoint_of_the_environment_is_asked(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AWS_ENDPOINT_URL`, and before it the one for S3 alone; a path in it stays in front."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    store = S3Store("bucket")
    store.put("key", b"data")
    assert S3Store("bucket").get("key") == b"data"
    assert list(s3.objects) == ["bucket/key"]


CONFIGURED = {
    "profile": "[profile here]\nendpoint_url = {url}\n",
    "services": "[profile here]\nservices = mine\nendpoint_url = http://127.0.0.1:1\n"
    "[services mine]\ns3 =\n  endpoint_url = {url}\n",
}


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes boto's configuration file, with a profile that is chosen."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "here")

    def write(text: str) -> None:
        keys = "aws_access_key_id = key\naws_secret_access_key = secret\nregion = us-east-1\n"
        text = text.replace("[profile here]\n", f"[profile here]\n{keys}")
        (tmp_path / "config").write_text(text)

    return write


@pytest.mark.parametrize("kind", CONFIGURED)
def test_the_endpoint_of_the_configuration_is_asked(
    kind: str, s3: Any, configured: Callable[[str], None]
) -> None:
    """`endpoint_url` of a profile, and before it that of its services section for S3."""
    configured(CONFIGURED[kind].format(url=s3.url))
    store = S3Store("bucket")
    store.put("key", b"data")
    assert list(s3.objects) == ["bucket/key"]
    assert store._operations.http() is not None


def test_configured_endpoints_can_be_ignored(
    s3: Any, configured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the environment and by the profile, as boto3 does."""
    text = CONFIGURED["profile"].format(url=s3.url)
    configured(text + "ignore_configured_endpoint_urls = true\n")
    assert S3Access().endpoint is None
    configured(text)
    assert S3Access().endpoint == s3.url
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert S3Access().endpoint is None


def test_what_is_unusual_in_the_configuration_is_left_to_boto3(
    configured: Callable[[str], None],
) -> None:
    """Acceleration, FIPS and dual-stack endpoints of a profile; and a profile that is not there."""
    configured("[profile here]\ns3 =\n  use_accelerate_endpoint = true\n")
    with pytest.raises(Unusual, match="accelerate"):
        S3Http("bucket", S3Access())
    configured("[profile other]\nuse_fips_endpoint = true\n")
    with pytest.raises(Unusual, match="here"):
        S3Http("bucket", S3Access())


@pytest.mark.parametrize("quick", [True, False])
def test_a_head_with_expired_credentials_says_so(
    quick: bool,  # noqa: FBT001  # pytest gives a case by its name
    opened: Callable[..., S3Store],
    s3: Any,
) -> None:
    """S3 answers such a HEAD with a bare 400; the reason comes with a GET."""
    bucket = opened(quick=quick)
    bucket.put("key", b"data")
    s3.expired.add("key")
    with pytest.raises(AccessDeniedError, match="ExpiredToken"):
        bucket.stat("key")
    with pytest.raises(AccessDeniedError, match="ExpiredToken"):
        bucket._operations.head("pre/fix/key")


def test_a_redirect_is_boto3s_to_follow(
    opened: Callable[..., S3Store], s3: Any, fault_type: Any
) -> None:
    """Another region's bucket: the next requests are boto3's, and the first one is repeated."""
    bucket = opened()
    bucket.put("key", b"data")
    first = [fault_type(answer=(301, "PermanentRedirect"))]
    s3.fault = lambda _: first.pop() if first else None
    assert bucket.get("key") == b"data"
    assert bucket._operations.http() is None


def test_connections_are_kept(opened: Callable[..., S3Store]) -> None:
    """One connection serves one request after another, refusals included."""
    bucket = opened()
    for number in range(5):
        bucket.put(f"{number}", b"data")
    with pytest.raises(NotFoundError):
        bucket.get("none")
    assert bucket.get("3") == b"data"
    http = bucket._operations.http()
    assert http is not None
    assert len(http._idle) == 1
    http._idle[0].sock.close()  # the server ended it while nobody looked
    assert bucket.get("4") == b"data"


class LateClock(SystemClock):
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_retries_end_at_their_deadline() -> None:
    """Overload that does not pass is given up in time, with what S3 said."""
    clock, tries = LateClock(), [0]

    def refused() -> None:
        tries[0] += 1
        raise ServiceError("SlowDown: reduce your request rate", code="SlowDown")

    with pytest.raises(ServiceError, match="SlowDown"):
        Retry(tries=1000, deadline_s=60.0, clock=clock, jitter=lambda: 0.99)(refused)
    assert 5 < tries[0] < 20
    assert clock.at <= 60.0


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An instance whose role has new credentials each time that it is asked."""
    given: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._say(b"token")

        def do_GET(self) -> None:
            if self.headers["x-aws-ec2-metadata-token"] != "token":
                self.send_error(401)
            elif self.path.endswith("security-credentials/"):
                self._say(b"role")
            else:
                given.append(f"role-key-{len(given)}")
                later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)  # noqa: TID251  # IMDS tells real time
                document = {
                    "Code": "Success",
                    "AccessKeyId": given[-1],
                    "SecretAccessKey": "secret",
                    "Token": "session",
                    "Expiration": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
                self._say(json.dumps(document).encode())

        def _say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
    yield given
    server.shutdown()
    server.server_close()


def test_credentials_come_from_the_instance_and_are_renewed(
    s3: Any, metadata: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests later than the credentials' life carry new ones; nothing has to be restarted."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    signers: list[str] = []
    s3.fault = lambda r: signers.append(
        r.headers["authorization"].partition("Credential=")[2].partition("/")[0]
    )
    store = S3Store("bucket")
    store.put("key", b"data")
    s3.expired.update(metadata)
    late = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=55)  # noqa: TID251  # as botocore asks
    monkeypatch.setattr(store._access._chain, "_time_fetcher", lambda: late)
    assert store.get("key") == b"data"
    assert signers[0] in metadata
    assert signers[1] in metadata
    assert signers[0] != signers[1]
