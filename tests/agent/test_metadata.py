"""The instance metadata service: a session token with every question, or no answer."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flyback.agent.metadata import Metadata
from flyback.errors import ServiceError


class Imds(http.server.ThreadingHTTPServer):
    """Version 2 only: without the current token everything is 401."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = "first"
        self.tokens_given = 0
        self.answers = {"/latest/meta-data/instance-id": "i-0123"}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Imds

    def do_PUT(self) -> None:
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        if self.path != "/latest/api/token" or not seconds:
            return self._answer(400, "")
        self.server.tokens_given += 1
        return self._answer(200, self.server.token)

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != self.server.token:
            return self._answer(401, "")
        text = self.server.answers.get(self.path)
        return self._answer(404 if text is None else 200, text or "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def imds() -> Iterator[Imds]:
    """A metadata service on loopback."""
    with Imds() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def metadata(imds: Imds) -> Metadata:
    """Asks it, found through the variable that boto3 reads as well."""
    url = f"http://127.0.0.1:{imds.server_port}"
    return Metadata.from_environment({"AWS_EC2_METADATA_SERVICE_ENDPOINT": url})


def test_the_instance_id_comes_with_a_token(imds: Imds, metadata: Metadata) -> None:
    """A service that refuses every request without a token answers us; one token serves many."""
    assert metadata.get("instance-id") == "i-0123"
    assert metadata.get("instance-id") == "i-0123"
    assert imds.tokens_given == 1


def test_what_is_not_there_is_none(metadata: Metadata) -> None:
    """No interruption notice is no error."""
    assert metadata.get("spot/instance-action") is None


def test_a_token_that_expired_is_renewed(imds: Imds, metadata: Metadata) -> None:
    """A long job outlives its token."""
    metadata.get("instance-id")
    imds.token = "second"
    assert metadata.get("instance-id") == "i-0123"
    assert imds.tokens_given == 2


def test_a_service_that_is_not_there_is_told() -> None:
    """Nobody listening is an error of ours, not of the socket."""
    with pytest.raises(ServiceError, match="instance metadata"):
        Metadata("http://127.0.0.1:1").get("instance-id")
