"""One account and region: credentials and endpoint in, typed services out."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flyback.aws.cloudformation import CloudFormation
from flyback.aws.ec2 import Ec2
from flyback.aws.ecr import Repositories
from flyback.aws.errors import translated
from flyback.aws.iam import Iam
from flyback.aws.ledger import Ledger, NoLedger
from flyback.aws.lister import Lister
from flyback.aws.logs import Logs
from flyback.aws.network import Network
from flyback.aws.quotas import Quotas
from flyback.aws.s3 import Buckets
from flyback.aws.scheduler import Scheduler
from flyback.aws.secrets import Secrets
from flyback.aws.sns import Topics
from flyback.aws.ssm import Parameters
from flyback.aws.sts import Identity, Sts
from flyback.aws.tagging import Tagging

__all__ = ["Access", "Session", "configured_region", "model_loader"]

_ATTEMPTS = 5  # botocore's standard mode backs off exponentially between them


def configured_region(profile: str | None) -> str | None:
    """The region that the environment or the AWS configuration names."""
    from botocore.session import Session as Configuration

    with translated("AWS configuration"):
        region = Configuration(profile=profile).get_config_variable("region")
    return str(region) if region else None


@functools.cache
def model_loader() -> Any:
    """The service models as botocore loads them, once for all sessions of this process."""
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach an account. All None: boto3's own chain (environment, profile, IMDS).

    Only this differs between real and rehearsed.
    """

    region: str | None = None
    profile: str | None = None
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None


class Session:
    """Typed services of one account and region; clients are made when first used.

    Args:
        access: Region, credentials and endpoint.
        ledger: Where create calls are written down; without one, creating is a bug.

    Attributes:
        calls: How often each operation of each service was called.
        witness: Told service, operation, HTTP status and answer of every call; None tells nobody.
    """

    def __init__(self, access: Access | None = None, ledger: Ledger | None = None) -> None:
        self._access = access or Access()
        self._ledger: Ledger = ledger or NoLedger()
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.witness: Callable[[str, str, int, Any], None] | None = None

    @functools.cached_property
    def region(self) -> str:
        """The region that calls go to."""
        with translated("region"):
            return str(self.client("sts").meta.region_name)

    @functools.cached_property
    def identity(self) -> Identity:
        """Who we are; one call, kept."""
        return Sts(self.client("sts"), self._ledger).identity()

    def server_time(self) -> float:
        """AWS's own time, in seconds since the epoch."""
        return Sts(self.client("sts"), self._ledger).server_time()

    @property
    def cloudformation(self) -> CloudFormation:
        return CloudFormation(self.client("cloudformation"), self._ledger)

    @property
    def ec2(self) -> Ec2:
        return Ec2(self.client("ec2"), self._ledger)

    @property
    def repositories(self) -> Repositories:
        return Repositories(self.client("ecr"), self._ledger)

    @property
    def iam(self) -> Iam:
        return Iam(self.client("iam"), self._ledger)

    @property
    def logs(self) -> Logs:
        return Logs(self.client("logs"), self._ledger)

    @property
    def network(self) -> Network:
        return Network(self.client("ec2"), self._ledger)

    @property
    def buckets(self) -> Buckets:
        return Buckets(self.client("s3"), self._ledger)

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.client("ssm"), self._ledger)

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.client("secretsmanager"), self._ledger)

    @property
    def quotas(self) -> Quotas:
        return Quotas(self.client("service-quotas"), self._ledger)

    @property
    def schedules(self) -> Scheduler:
        return Scheduler(self.client("scheduler"), self._ledger)

    @property
    def topics(self) -> Topics:
        return Topics(self.client("sns"), self._ledger)

    @property
    def tagging(self) -> Tagging:
        return Tagging(self.client("resourcegroupstaggingapi"), self._ledger)

    def lister(self, service: str) -> Lister:
        """What lingers in a service."""
        return Lister(self.client(service), self._ledger)

    def in_region(self, region: str, ledger: Ledger) -> Session:
        """The same account, reached the same way, in another region."""
        return Session(dataclasses.replace(self._access, region=region), ledger)

    def client(self, service: str) -> Any:
        """The boto3 client of a service; for the store, and for the classes here."""
        with self._lock:  # boto3 sessions are not safe to share while clients are made
            if service not in self._clients:
                with translated(service):
                    self._clients[service] = self._make(service)
        return self._clients[service]

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=5,  # a dead endpoint must not hold an agent that watches a deadline
            read_timeout=30,
            user_agent_extra="flyback",
            max_pool_connections=32,
        )
        client = self._boto.client(service, endpoint_url=self._access.endpoint, config=config)
        client.meta.events.register(f"before-call.{service}", self._count)
        client.meta.events.register(f"after-call.{service}", self._tell)
        return client

    @functools.cached_property
    def _boto(self) -> Any:
        import boto3
        from botocore.session import Session as Core

        access = self._access
        core = Core(profile=access.profile)
        core.register_component("data_loader", model_loader())
        return boto3.Session(
            botocore_session=core,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            aws_session_token=access.session_token,
            region_name=access.region,
        )

    def _tell(self, http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
        if self.witness is not None:
            service = model.service_model.service_name
            self.witness(service, model.name, http_response.status_code, parsed)

    def _count(self, model: Any, **_: Any) -> None:
        self.calls[(model.service_model.service_name, model.name)] += 1
