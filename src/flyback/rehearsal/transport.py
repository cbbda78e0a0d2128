"""boto3 clients that call the front in this process, without a socket.

For the parts of the cloud that call it themselves (CloudFormation on a principal's behalf), for
the inventory, and for tests. The requests are signed, named, journalled and answered like any.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from flyback.aws.session import model_loader
from flyback.rehearsal.call import Response
from flyback.rehearsal.front import VIA
from flyback.rehearsal.identities import ROOT
from flyback.rehearsal.middleware.faults import DroppedError

__all__ = ["Clients"]


class Clients:
    """Makes clients of the account's root user, each once.

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
                self._made[key] = self._make(service, region, via)
            return self._made[key]

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made = {}

    def _make(self, service: str, region: str, via: str) -> Any:
        from botocore.config import Config

        client = _session().client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )

        self.carry(client.meta.events, via)
        return client

    def carry(self, events: Any, via: str = "") -> None:
        """Answer what botocore clients with this event system send, instead of a socket.

        Handlers of `before-send` that were registered earlier see each request first.
        """

        def send(request: Any, **_: Any) -> Any:
            return _response(request, self._answer(request, via))

        events.register("before-send", send)

    def _answer(self, request: Any, via: str) -> Response:
        from botocore.exceptions import ConnectionClosedError

        try:
            return self._respond(_environ(request, via))
        except DroppedError as dropped:
            raise ConnectionClosedError(endpoint_url=request.url) from dropped


@functools.cache
def _session() -> Any:
    """One for all clouds of this process; it shares the service models with every client."""
    import boto3
    from botocore.session import Session

    core = Session()
    core.register_component("data_loader", model_loader())
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=ROOT.access_key,
        aws_secret_access_key=ROOT.secret,
    )


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


def _environ(request: Any, via: str) -> dict[str, Any]:
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
        VIA: via,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
