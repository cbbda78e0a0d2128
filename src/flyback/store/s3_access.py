"""How a bucket is reached: boto3's client, and what requests without it need to know.

Only the client's plain operations are called, never boto3's transfers: where awscrt is installed,
those go to AWS itself and ignore the endpoint (boto3#4839).

boto3 takes a quarter of a second to load, so what the environment says outright is taken from
there; everything else (profiles, single sign-on, roles, IMDS) is botocore's to find and refresh.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["S3Access"]

_CONNECTIONS = 64


@dataclass
class S3Access:
    """Credentials, region and endpoint.

    Args:
        given: A boto3 S3 client to use; None makes one from the environment.
        environ: The environment.
    """

    given: Any = None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """boto3's client; it retries, and refreshes its credentials."""
        with self._lock:
            return self._client

    @functools.cached_property
    def _client(self) -> Any:
        if self.given is not None:
            return self.given
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 8},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
        )
        session = boto3.Session()
        region = session.region_name or ("us-east-1" if self.endpoint else None)
        return session.client("s3", config=config, region_name=region)

    @property
    def endpoint(self) -> str | None:
        """Where requests go instead of AWS."""
        if self.given is not None:
            return str(self.given.meta.endpoint_url)
        return self.environ.get("AWS_ENDPOINT_URL_S3") or self.environ.get("AWS_ENDPOINT_URL")

    def settings(self) -> dict[str, Any]:
        """Region, endpoint, authority (PEM), and credentials or what provides them."""
        found: dict[str, Any] = {"region": self._region()}
        if self.endpoint:
            found["endpoint"] = self.endpoint
        bundle = self.environ.get("AWS_CA_BUNDLE")
        if bundle:
            with open(bundle, encoding="utf-8") as file:  # noqa: PTH123  # pathlib is not loaded for one line
                found["authority"] = file.read()
        return found | self._credentials()

    def _region(self) -> str:
        named = self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION")
        return named or str(self.client.meta.region_name or "us-east-1")

    def _credentials(self) -> dict[str, Any]:
        key, secret = (self.environ.get(f"AWS_{n}") for n in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        if key and secret and not self.environ.get("AWS_PROFILE"):
            found = {"access_key_id": key, "secret_access_key": secret}
            token = self.environ.get("AWS_SESSION_TOKEN")
            return {**found, "token": token} if token else found
        return {"credential_provider": self._provided}

    def _provided(self) -> dict[str, Any]:
        """What botocore's chain gives now; it refreshes what is about to expire."""
        import botocore.session
        from botocore.exceptions import NoCredentialsError

        with self._lock:
            if not hasattr(self, "_chain"):
                self._chain = botocore.session.get_session().get_credentials()
            if self._chain is None:
                raise NoCredentialsError
            frozen = self._chain.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
        }
