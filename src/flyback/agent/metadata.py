"""The instance metadata service, version 2: every question carries a session token."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping

from flyback.errors import ServiceError

__all__ = ["Metadata"]

_ENDPOINT = "http://169.254.169.254"
_TIMEOUT_S = 2.0
_TTL_S = 21600  # six hours, the longest that the service grants
_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404


class Metadata:
    """Asks the machine about itself.

    Args:
        endpoint: Address of the service.
    """

    def __init__(self, endpoint: str = _ENDPOINT) -> None:
        self._address = urllib.parse.urlsplit(endpoint)
        self._token = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Metadata:
        """At `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or where EC2 has it."""
        return cls(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT)

    def get(self, path: str) -> str | None:
        """The answer at `/latest/meta-data/<path>`, or None where there is none.

        Raises:
            ServiceError: the service can't be reached, or refuses.
        """
        for fresh in (False, True):
            if fresh or not self._token:
                self._token = self._ask_token()
            header = {"X-aws-ec2-metadata-token": self._token}
            status, text = self._ask("GET", f"/latest/meta-data/{path}", header)
            if status == _OK:
                return text
            if status == _NOT_FOUND:
                return None
            if status != _UNAUTHORIZED:
                break  # a token that has expired is renewed once
        raise ServiceError(f"status {status}", where=f"instance metadata {path}")

    def _ask_token(self) -> str:
        header = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TTL_S)}
        status, text = self._ask("PUT", "/latest/api/token", header)
        if status != _OK:
            raise ServiceError(f"status {status}", where="instance metadata token")
        return text

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_TIMEOUT_S
        )
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{error}", where=f"instance metadata {path}") from error
        finally:
            connection.close()
