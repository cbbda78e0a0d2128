"""moto, prepared: imported quickly, reset between clouds, and living in simulated time.

moto keeps the state of the emulated account in module-level registries of this process, so one
process holds one emulated cloud at a time. `LOCK` guards all of it: moto is not written for
threads, and the front serves many.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

__all__ = ["ACCOUNT", "LOCK", "backend", "fresh", "known_backend", "simulated_time"]

ACCOUNT = "123456789012"
LOCK = threading.RLock()

_AMIS = "MOTO_EC2_LOAD_DEFAULT_AMIS"


def backend(service: str, region: str, account: str = ACCOUNT) -> Any:
    """The state of a service as moto keeps it; `region` is `global` for IAM, STS and S3."""
    with LOCK:
        if service == "ec2":
            _import_ec2()
        from moto.backends import get_backend

        return get_backend(service)[account][region]


def known_backend(service: str, region: str) -> Any:
    """The same; None where moto has no such region: a signature or an ARN may name any."""
    try:
        return backend(service, region)
    except KeyError:
        return None


def fresh(seed: int) -> None:
    """An account with nothing in it, whose identifiers follow from the seed."""
    with LOCK:
        from moto.core.base_backend import BackendDict
        from moto.moto_api._internal import mock_random

        _import_ec2()
        BackendDict.reset()
        mock_random.seed(seed)


@contextmanager
def simulated_time(now: Callable[[], float]) -> Iterator[None]:
    """Let moto see simulated time while this lasts, and leave its 1,300 images where they are.

    Args:
        now: Seconds since the epoch.
    """
    import moto.core.utils
    import moto.iam.models
    import moto.s3.models

    class Moment(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]  # plain is what callers expect
            return dt.datetime.fromtimestamp(now(), tz)

    simulated = SimpleNamespace(**{**vars(dt), "datetime": Moment})
    before = os.environ.get(_AMIS)
    os.environ[_AMIS] = "false"  # ours are registered by ec2.images; theirs take a second
    try:
        with (
            _swapped(moto.core.utils, "datetime", simulated),
            _swapped(moto.s3.models, "datetime", simulated),
            _swapped(moto.s3.models.FakeBucket, "get_permission", _unjudged),
            _swapped(moto.iam.models, "SERVICE_NAME_CONVERSION", _service_names()),
        ):
            yield
    finally:
        if before is None:
            del os.environ[_AMIS]
        else:
            os.environ[_AMIS] = before


def _service_names() -> dict[str, str]:
    """How services spell themselves in the names of their roles; moto lacks EC2 Spot."""
    from moto.iam.models import SERVICE_NAME_CONVERSION

    return {**SERVICE_NAME_CONVERSION, "spot": "EC2Spot"}


def _unjudged(bucket: Any, action: str, resource: str) -> Any:
    """Bucket policies are the authorizer's: moto's reading ignores conditions and so denies all."""
    from moto.iam.access_control import PermissionResult

    del bucket, action, resource
    return PermissionResult.NEUTRAL


class _Offerings(dict[str, Any]):
    """Instance types on offer, by region, read when first asked for."""

    def __init__(self, location_type: str, load: Callable[[str], Any]) -> None:
        super().__init__()
        self._location_type = location_type
        self._load = load

    def get(self, region: str, default: Any = None) -> Any:
        if region not in self:
            path = f"ec2/resources/instance_type_offerings/{self._location_type}/{region}.json"
            try:
                offers = self._load(path)
            except FileNotFoundError:
                return default
            self[region] = [{**offer, "LocationType": self._location_type} for offer in offers]
        return super().get(region)

    def __missing__(self, region: str) -> Any:
        return self.get(region, [])


@functools.cache
def _session() -> Any:
    """One session for all that moto asks of botocore: each new one reads the models again."""
    import boto3
    import botocore.session
    from moto.core import base_backend, utils

    loader = utils.create_loader()
    utils.create_loader = lambda: loader
    core = botocore.session.get_session()
    core.register_component("data_loader", loader)
    session = boto3.Session(botocore_session=core)
    with _swapped(base_backend, "Session", lambda: session):
        base_backend.AccountSpecificBackend.get_session()  # which keeps what it gets
    return session


def _import_ec2() -> None:
    """Import moto's EC2 in a third of the time: 92 files of offerings and three sessions less."""
    if "moto.ec2.models" in sys.modules:
        return
    import boto3
    import moto.utilities.utils as resources

    session, load = _session(), resources.load_resource

    def load_less(path: str) -> Any:
        unwanted = "instance_type_offerings" in path or path == "ec2/resources/amis.json"
        return [] if unwanted else load(path)

    with (
        _swapped(resources, "load_resource", load_less),
        _swapped(boto3, "Session", lambda: session),
    ):
        from moto.ec2.models import instance_types
    offerings = instance_types.INSTANCE_TYPE_OFFERINGS
    for location_type in list(offerings):
        offerings[location_type] = _Offerings(location_type, load)


@contextmanager
def _swapped(module: Any, name: str, value: Any) -> Iterator[None]:
    """Another value under a module's name, for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
