"""The front: every request to the emulated cloud comes in here and is answered.

A WSGI application. Requests below `/_flyback/` are the rehearsal's own (clock, faults, journal,
health); every other one is an AWS request, which is named, parsed and sent down the middlewares.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.identities import Identities
from flyback.rehearsal.moto_state import ACCOUNT
from flyback.rehearsal.naming import name_request, scope_of
from flyback.rehearsal.parsing import parse_params
from flyback.rehearsal.serialising import emulation_failed, serialise_error

__all__ = ["VIA", "Front", "Middleware"]

PREFIX = "/_flyback/"
# Set by the in-process transport alone: a header could be forged.
VIA = "flyback.via"

Handler = Callable[[Call], Response]
Route = Callable[[str, str, Mapping[str, Any]], Any]


class Middleware(Protocol):
    """One concern between a request and its answer."""

    def __call__(self, call: Call, forward: Handler) -> Response:
        """Answer a call, or let the next middleware (`forward`) do it.

        Raises:
            AwsError: what AWS would say.
        """
        ...


class Front:
    """Names requests and sends them down the middlewares.

    Args:
        middlewares: Outermost first; the last answers.
        identities: Who holds which access key.
        now: Simulated seconds since the epoch, for the `Date` of answers.
        routes: The rehearsal's own addresses: first path segment below `/_flyback/` → what
            answers `(method, rest of the path, JSON body)` with something JSON can hold.
        reach: Raises DroppedError for a request that has no way to arrive; it is then not even in
            the journal.
    """

    def __init__(
        self,
        middlewares: Sequence[Middleware],
        identities: Identities,
        now: Callable[[], float],
        routes: Mapping[str, Route] | None = None,
        reach: Callable[[Call], None] | None = None,
    ) -> None:
        self._identities = identities
        self._now = now
        self._routes = dict(routes or {})
        self._reach = reach
        self._numbers = itertools.count(1)
        self._handle: Handler = _nobody
        for middleware in reversed(middlewares):
            self._handle = functools.partial(middleware, forward=self._handle)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer as a WSGI application does."""
        response = self.respond(environ)
        try:
            reason = HTTPStatus(response.status).phrase
        except ValueError:
            reason = "Unknown"
        start_response(f"{response.status} {reason}", list(response.headers))
        return [response.body]

    def respond(self, environ: Mapping[str, Any]) -> Response:
        """Answer a request given as a WSGI environment.

        Raises:
            DroppedError: the connection is to be closed without an answer.
        """
        body = _body(environ)
        path = str(environ.get("PATH_INFO", "/"))
        if path.startswith(PREFIX):
            response = self._own(str(environ["REQUEST_METHOD"]), path.removeprefix(PREFIX), body)
        else:
            response = self._aws(environ, body)
        return _complete(response, str(environ["REQUEST_METHOD"]), self._now())

    def _aws(self, environ: Mapping[str, Any], body: bytes) -> Response:
        scope = scope_of(environ)
        named = name_request(environ, body, scope)
        call = Call(
            number=next(self._numbers),
            service=named.service,
            operation=named.operation,
            region=named.region,
            account=ACCOUNT,
            principal=self._identities.principal(scope.access_key) if scope else "anonymous",
            via=str(environ.get(VIA, "")),
            params=parse_params(named, body),
            environ=named.environ,
            body=body,
        )
        try:
            if self._reach is not None:
                self._reach(call)
            return self._handle(call)
        except AwsError as error:
            return serialise_error(call, error)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  # a client must never wait for our mistake
            return serialise_error(call, emulation_failed(call, error))

    def _own(self, method: str, path: str, body: bytes) -> Response:
        name, _, rest = path.partition("/")
        route = self._routes.get(name)
        if route is None:
            return _json(HTTPStatus.NOT_FOUND, {"error": f"nothing is at {PREFIX}{name}"})
        try:
            return _json(HTTPStatus.OK, route(method, rest, json.loads(body or b"{}")))
        except (ValueError, KeyError, RuntimeError) as error:
            return _json(HTTPStatus.BAD_REQUEST, {"error": str(error)})


def _nobody(call: Call) -> Response:
    raise AwsError("NotEmulated", f"nothing answers {call.service}:{call.operation}", 501)


def _json(status: int, value: Any) -> Response:
    headers = (("Content-Type", "application/json"),)
    return Response(status=status, headers=headers, body=json.dumps(value).encode())


def _body(environ: Mapping[str, Any]) -> bytes:
    stream = environ.get("wsgi.input")
    if stream is None:
        return b""
    if environ.get("wsgi.input_terminated"):
        return bytes(stream.read())
    return bytes(stream.read(int(environ.get("CONTENT_LENGTH") or 0)))


def _complete(response: Response, method: str, now: float) -> Response:
    """Give it the headers that every answer has; an answer to HEAD keeps the length it states."""
    headers = [(name, value) for name, value in response.headers]
    stated = any(name.lower() == "content-length" for name, _ in headers)
    if method != "HEAD" or not stated:
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers.append(("Content-Length", str(len(response.body))))
    headers.append(("Date", formatdate(now, usegmt=True)))
    body = b"" if method == "HEAD" else response.body
    return Response(status=response.status, headers=tuple(headers), body=body)
