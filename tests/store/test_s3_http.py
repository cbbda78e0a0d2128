"""Requests by the standard library: what is unusual goes to boto3, what passes is repeated."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flyback.errors import NotFoundError, ServiceError
from flyback.spec.clock import SystemClock
from flyback.store.retry import Retry
from flyback.store.s3 import S3Store
from flyback.store.s3_access import S3Access
from flyback.store.s3_http import S3Http, Unusual

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
