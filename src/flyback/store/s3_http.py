"""S3 by the standard library: signed requests over kept connections, without loading boto3.

boto3 takes most of a second of a small machine to load, and twice the processor time per byte of a
large object (docs/decisions/0012). Signature Version 4 as in "Authenticating Requests (AWS
Signature Version 4)", Amazon S3 API reference. Whatever is not the usual way to reach S3 (proxies,
access points, FIPS and dual-stack endpoints, redirects) is left to boto3.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flyback.errors import NetworkError
from flyback.store.s3_access import S3Access
from flyback.store.s3_signing import Address, Question, Stretch, Unusual, pieces

__all__ = ["Answer", "S3Http", "Take"]

Take = Callable[[memoryview, int], None]
"""Given what arrives and its place in the body; the memory is used again."""

_TIMEOUT_S = 60.0
_IDLE = 64  # connections kept
_STEP = 1 << 18  # bytes between the network and the disk; larger writes ask for large fresh pages
_CODE = re.compile(rb"<Code>([\w.]+)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_REDIRECTS, _WRONG = 300, 400
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}


@dataclass(frozen=True)
class Answer:
    """What was answered; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class S3Http:
    """Requests to one bucket. Safe to use from many threads.

    Args:
        bucket: Its name.
        access: How to reach it.

    Raises:
        Unusual: not by the usual address.
    """

    def __init__(self, bucket: str, access: S3Access) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self.address = Address(bucket, access)
        self._where = self.address.where
        self._buffers = threading.local()

    def __del__(self) -> None:
        """Connections end with their owner."""
        while self._idle:
            self._idle.pop().close()

    # ------------------------------------------------------------------------------ requests

    def ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: bytes | Stretch = b"",
    ) -> Answer:
        """One request, with a small answer.

        Args:
            method: Of HTTP.
            key: The object's; empty for the bucket.
            query: Names and values, as they are.
            headers: Besides those of the signature.
            body: What to send.

        Raises:
            FlybackError: what S3 refuses, or the network.
            Unusual: boto3 is to ask instead.
        """
        with self._answered(Question(method, key, query, headers or {}, body)) as answer:
            with _network(f"{self._where}/{key}"):
                data = answer.read()
            return Answer(answer.status, _lower(answer), data)

    def fetch(
        self,
        key: str,
        headers: Mapping[str, str],
        begin: Callable[[Answer], Take | None],
    ) -> None:
        """Read an object, or a range of one.

        Args:
            key: The object.
            headers: Range and conditions.
            begin: Given status and headers, gives what takes the bytes; None ends here.

        Raises:
            FlybackError: what S3 refuses, or the network, also in the middle.
            Unusual: boto3 is to ask instead.
        """
        where = f"{self._where}/{key}"
        with self._answered(Question("GET", key, headers=headers)) as answer:
            length = answer.length
            if length is None:
                raise Unusual("a body of unknown length")
            take = begin(Answer(answer.status, _lower(answer)))
            if take is None:
                return
            view, at = self._buffer(), 0
            while at < length:
                with _network(where):
                    count = answer.readinto(view)
                if not count:
                    raise NetworkError("the body ended before its length", where=where)
                take(view[:count], at)
                at += count
            answer.read()  # closes it, so that the connection may be used again

    def session(self) -> ssl.SSLSession | None:
        """Of TLS, by which further connections are spared half of their greeting."""
        kept = self._idle[-1].sock if self._idle else None
        return kept.session if isinstance(kept, ssl.SSLSocket) else None

    # --------------------------------------------------------------------------- connections

    @contextlib.contextmanager
    def _answered(self, question: Question) -> Iterator[http.client.HTTPResponse]:
        where = f"{self._where}/{question.key}"
        with _network(where):
            connection, answer = self._send(question)
        try:
            self._check(answer, where)
            yield answer
        except BaseException:
            answer.close()
            connection.close()
            raise
        if answer.isclosed() and not answer.will_close and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            answer.close()
            connection.close()

    def _send(
        self, question: Question
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask; once more where a kept connection turns out to have ended meanwhile."""
        while True:
            try:
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._connect(), False
            try:
                self._write(connection, question)
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not kept or isinstance(error, TimeoutError):
                    raise

    def _write(self, connection: http.client.HTTPConnection, question: Question) -> None:
        scratch = self._buffer()
        target, headers = self.address.signed(question, scratch)
        connection.putrequest(question.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            for data in pieces(question.body, scratch):
                connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an answer may have come before the end, and say why

    def _connect(self) -> http.client.HTTPConnection:
        host = self.address.host
        if not self.address.tls:
            return http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
        context = self.address.context()
        return http.client.HTTPSConnection(host, timeout=_TIMEOUT_S, context=context)

    def _buffer(self) -> memoryview:
        """A thread's own: fresh memory costs more than what is read into it."""
        if not hasattr(self._buffers, "view"):
            self._buffers.view = memoryview(bytearray(_STEP))
        view: memoryview = self._buffers.view
        return view

    # -------------------------------------------------------------------------------- errors

    @staticmethod
    def _check(answer: http.client.HTTPResponse, where: str) -> None:
        if answer.status < _REDIRECTS:
            return
        from flyback.aws.errors import error_for_code

        with _network(where):
            body = answer.read()
        found = _CODE.search(body)
        code = found[1].decode() if found else str(answer.status)
        if answer.status < _WRONG or code in _ELSEWHERE:
            raise Unusual(code)
        said = _MESSAGE.search(body)
        message = said[1].decode(errors="replace") if said else answer.reason
        if answer.status == http.client.PRECONDITION_FAILED and not found:
            code = "PreconditionFailed"
        raise error_for_code(code, message, where)


@contextlib.contextmanager
def _network(where: str) -> Iterator[None]:
    """What the network does wrong becomes ours."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise NetworkError(
            f"{type(error).__name__}: {error}",
            where=where,
            remedy="check the network and the region, then repeat",
        ) from error


def _lower(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}
