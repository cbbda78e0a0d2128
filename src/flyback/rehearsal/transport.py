"""boto3 clients that call the front in this process, without a socket.

For the parts of the cloud that call it themselves (CloudFormation on a principal's behalf), for
the inventory, and for tests. The requests are signed, named, journalled and answered like any.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from flyback.aws.session import model_loader
from flyback.rehearsal.call import Response
from flyback.rehearsal.front import VIA
from flyback.rehearsal.identities import ROOT
from flyback.rehearsal.middleware.faults import DroppedError

__all__ = ["Caller", "Clients"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes a call from within the cloud.

    Args:
        access_key: Access key id.
        secret: Secret access key.
        token: Session token; empty for long-lived keys.
        via: The service that calls on the holder's behalf; empty where the holder calls itself.
        source_arn: The resource for whose sake a service calls (`aws:SourceArn`), or empty.
    """

    access_key: str = ROOT.access_key
    secret: str = ROOT.secret
    token: str = ""
    via: str = ""
    source_arn: str = ""


class Clients:
    """Makes clients of the account's root user, each once, and of anybody else.

    Args:
        respond: The front.
        endpoint: Its address, which the requests bear.
    """

    def __init__(self, respond: Callable[[Mapping[str, Any]], Response], endpoint: str) -> None:
        self._respond = respond
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, str], Any] = {}

    def __call__(self, service: str, region: str, via: str = "") -> Any:
        """A boto3 client.

        Args:
            service: As boto3 names it.
            region: For instance `us-east-1`.
            via: The service that calls on the root user's behalf; the journal shows it.
        """
        with self._lock:
            key = (service, region, via)
            if key not in self._made:
                self._made[key] = self.of(service, region, Caller(via=via))
            return self._made[key]

    def of(self, service: str, region: str, caller: Caller) -> Any:
        """A new boto3 client of somebody in particular; it holds no socket.

        Args:
            service: As boto3 names it.
            region: For instance `us-east-1`.
            caller: Whose.
        """
        return self._make(service, region, caller)

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made = {}

    def _make(self, service: str, region: str, caller: Caller) -> Any:
        from botocore.config import Config

        client = _session().client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            aws_access_key_id=caller.access_key,
            aws_secret_access_key=caller.secret,
            aws_session_token=caller.token or None,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )

        self.carry(client.meta.events, caller)
        return client

    def carry(self, events: Any, caller: Caller | None = None) -> None:
        """Answer what botocore clients with this event system send, instead of a socket.

        Handlers of `before-send` that were registered earlier see each request first.
        """
        whose = caller or Caller()

        def send(request: Any, **_: Any) -> Any:
            return _response(request, self._answer(request, whose))

        events.register("before-send", send)

    def _answer(self, request: Any, caller: Caller) -> Response:
        from botocore.exceptions import ConnectionClosedError

        try:
            return self._respond(_environ(request, caller))
        except DroppedError as dropped:
            raise ConnectionClosedError(endpoint_url=request.url) from dropped


@functools.cache
def _session() -> Any:
    """One for all clouds of this process; it shares the service models with every client."""
    import boto3
    from botocore.session import Session

    core = Session()
    core.register_component("data_loader", model_loader())
    return boto3.Session(botocore_session=core)


class _Raw(io.BytesIO):
    """What botocore reads a body from."""

    def stream(self, amt: int = 65536, **_: Any) -> Iterator[bytes]:
        while chunk := self.read(amt):
            yield chunk


def _response(request: Any, response: Response) -> Any:
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    headers = HTTPHeaders.from_pairs(response.headers)
    return AWSResponse(request.url, response.status, headers, _Raw(response.body))


def _environ(request: Any, caller: Caller) -> dict[str, Any]:
    parts = urlsplit(request.url)
    body = request.body if request.body is not None else b""
    if hasattr(body, "read"):
        body = body.read()
    body = body.encode() if isinstance(body, str) else bytes(body)
    path = parts.path or "/"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path).encode().decode("latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": f"{path}?{parts.query}" if parts.query else path,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc,
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
        VIA: f"{caller.via}:{caller.source_arn}" if caller.source_arn else caller.via,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
