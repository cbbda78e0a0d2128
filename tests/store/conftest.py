"""Stores on a simulated S3 that rejects what S3 rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3_simulator
import s3_wire
import trustme
from botocore.config import Config

from flyback.spec.clock import SystemClock
from flyback.store.retry import Retry
from flyback.store.s3 import S3Store

HERE = Path(__file__).parent


class HastyClock(SystemClock):
    """Real time, in which pauses take none."""

    def sleep(self, seconds: float) -> None:
        del seconds


@pytest.fixture(scope="session")
def fault_type() -> Any:
    """The class of faults."""
    return s3_wire.Fault


@pytest.fixture
def s3() -> Iterator[Any]:
    """A simulated S3."""
    simulator = s3_simulator.S3Simulator()
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own, and a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)
    return folder


@pytest.fixture
def secure(certificates: Path) -> Iterator[str]:
    """The address of a simulated S3 behind TLS."""
    simulator = s3_simulator.S3Simulator(tls=(certificates / "cert.pem", certificates / "key.pem"))
    yield simulator.url
    simulator.close()


def client_of(url: str, key: str = "key", tries: int = 4) -> Any:
    """A boto3 client that hurries."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": tries},
            s3={"addressing_style": "path"},
            max_pool_connections=16,
        ),
    )


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Retry:
    """Retries without pauses, in botocore as well."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", _no_delay)
    return Retry(clock=HastyClock(), tries=12)


def _no_delay(self: object, context: object) -> float:
    del self, context
    return 0.0


@pytest.fixture(params=["boto3", "quick"])
def bucket(
    request: pytest.FixtureRequest, s3: Any, hasty: Retry, monkeypatch: pytest.MonkeyPatch
) -> S3Store:
    """A bucket of the simulated S3, through boto3 alone and by the standard library."""
    return open_bucket(s3.url, hasty, monkeypatch, quick=request.param == "quick")


@pytest.fixture
def opened(s3: Any, hasty: Retry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Store]:
    """Opens buckets."""
    return lambda **given: open_bucket(s3.url, hasty, monkeypatch, **given)


def open_bucket(
    url: str,
    retry: Retry,
    monkeypatch: pytest.MonkeyPatch,
    *,
    quick: bool = True,
    prefix: str = "pre/fix",
    key: str = "key",
) -> S3Store:
    """A bucket below a prefix."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    if not quick:
        return S3Store(
            "bucket", prefix=prefix, client=client_of(url, key), retry=retry, quick=False
        )
    return S3Store("bucket", prefix=prefix, retry=retry, quick=True)
