"""Stores on a simulated S3 that rejects what S3 rejects."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.config import Config

from flyback.spec.clock import SystemClock
from flyback.store.retry import Retry
from flyback.store.s3 import S3Store

HERE = Path(__file__).parent


def load(name: str) -> ModuleType:
    """A module beside this one, which pytest's importlib mode does not put on the path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


wire = load("s3_wire")
simulator_module = load("s3_simulator")


class HastyClock(SystemClock):
    """Real time, in which pauses take none."""

    def sleep(self, seconds: float) -> None:
        del seconds


@pytest.fixture(scope="session")
def fault_type() -> Any:
    """The class of faults."""
    return wire.Fault


@pytest.fixture
def s3() -> Iterator[Any]:
    """A simulated S3."""
    simulator = simulator_module.S3Simulator()
    yield simulator
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
