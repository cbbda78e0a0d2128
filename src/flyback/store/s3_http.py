"""S3 by the standard library: signed requests over kept connections, without loading boto3.

boto3 takes most of a second of a small machine to load, and twice the processor time per byte of a
large object (docs/decisions/0012). Signature Version 4 as in "Authenticating Requests (AWS
Signature Version 4)", Amazon S3 API reference. Whatever is not the usual way to reach S3 (proxies,
access points, FIPS and dual-stack endpoints, redirects) is left to boto3.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flyback.errors import NetworkError
from flyback.store.s3_access import S3Access

__all__ = ["Answer", "S3Http", "Stretch", "Take", "Unusual"]

Take = Callable[[memoryview, int], None]
"""Given what arrives and its place in the body; the memory is used again."""

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_UNSIGNED = "UNSIGNED-PAYLOAD"  # over TLS, and beside a checksum; as the SDKs do
_TIMEOUT_S = 60.0
_IDLE = 64  # connections kept
_STEP = 1 << 18  # bytes between the network and the disk; larger writes ask for large fresh pages
_CODE = re.compile(rb"<Code>([\w.]+)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_REDIRECTS, _WRONG = 300, 400
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}
_UNUSUAL_SETTINGS = (
    "ALL_PROXY",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "HTTPS_PROXY",
    "HTTP_PROXY",
)


class Unusual(Exception):  # noqa: N818  # not a failure: boto3 is asked instead
    """This way does not work here; boto3 knows more ways, and what is wrong."""


@dataclass(frozen=True)
class Stretch:
    """A piece of an open file, as the body of a request."""

    descriptor: int
    start: int
    length: int


@dataclass(frozen=True)
class Answer:
    """What was answered; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class _Key:
    """The signing key of a day: it takes four digests, and every request needs it."""

    of: tuple[str, ...] = ()
    value: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


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
        if any(access.environ.get(n) or access.environ.get(n.lower()) for n in _UNUSUAL_SETTINGS):
            raise Unusual("a proxy or a special endpoint")
        self._settings = access.settings()
        self._region = str(self._settings["region"])
        endpoint = self._settings.get("endpoint")
        far = self._region.startswith(("cn-", "us-gov-", "us-iso", "eu-isoe"))
        if endpoint is None and (far or "." in bucket or ":" in bucket or "--" in bucket):
            raise Unusual("not the usual address")
        base = str(endpoint) if endpoint else f"https://{bucket}.s3.{self._region}.amazonaws.com"
        parts = urllib.parse.urlsplit(base)
        self._tls, self._host = parts.scheme == "https", parts.netloc
        self._path = f"{parts.path.rstrip('/')}/{bucket}" if endpoint else ""
        self._where = f"s3://{bucket}"
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._key = _Key()
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
        with self._answered(method, key, (query, headers or {}), body) as answer:
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
        with self._answered("GET", key, ({}, headers), b"") as answer:
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

    # --------------------------------------------------------------------------- connections

    @contextmanager
    def _answered(
        self,
        method: str,
        key: str,
        asked: tuple[Mapping[str, str], Mapping[str, str]],
        body: bytes | Stretch,
    ) -> Iterator[http.client.HTTPResponse]:
        where = f"{self._where}/{key}"
        with _network(where):
            connection, answer = self._send(method, key, asked, body)
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
        self,
        method: str,
        key: str,
        asked: tuple[Mapping[str, str], Mapping[str, str]],
        body: bytes | Stretch,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask; once more where a kept connection turns out to have ended meanwhile."""
        while True:
            try:
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._connect(), False
            try:
                self._write(connection, method, key, asked, body)
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not kept or isinstance(error, TimeoutError):
                    raise

    def _write(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        key: str,
        asked: tuple[Mapping[str, str], Mapping[str, str]],
        body: bytes | Stretch,
    ) -> None:
        query, headers = asked
        path = urllib.parse.quote(f"{self._path}/{key}", safe="/-_.~")
        text = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
        length = body.length if isinstance(body, Stretch) else len(body)
        signed = self._signed(method, path, text, headers, self._digest(body, length))
        connection.putrequest(
            method, f"{path}?{text}" if text else path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in signed.items():
            connection.putheader(name, value)
        if length or method in ("PUT", "POST"):
            connection.putheader("content-length", str(length))
        connection.endheaders()
        try:
            for data in self._pieces(body):
                connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an answer may have come before the end, and say why

    def _connect(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, timeout=_TIMEOUT_S)
        with self._lock:
            if self._context is None:
                self._context = self._trusting()
        return http.client.HTTPSConnection(self._host, timeout=_TIMEOUT_S, context=self._context)

    def _trusting(self) -> ssl.SSLContext:
        given = self._settings.get("authority")
        context = ssl.create_default_context(cadata=given)
        if given is None and not context.cert_store_stats()["x509_ca"]:
            paths = ssl.get_default_verify_paths()
            if not os.path.isdir(paths.capath) or not os.listdir(paths.capath):  # noqa: PTH112, PTH208  # pathlib is not loaded for one line
                raise Unusual("this Python trusts nobody; boto3 brings a list")
        return context

    def _buffer(self) -> memoryview:
        """A thread's own: fresh memory costs more than what is read into it."""
        if not hasattr(self._buffers, "view"):
            self._buffers.view = memoryview(bytearray(_STEP))
        view: memoryview = self._buffers.view
        return view

    def _pieces(self, body: bytes | Stretch) -> Iterator[bytes | memoryview]:
        if not isinstance(body, Stretch):
            if body:
                yield body
            return
        view, at, end = self._buffer(), body.start, body.start + body.length
        while at < end:
            count = os.preadv(body.descriptor, [view[: end - at]], at)
            if not count:
                raise NetworkError("the file became shorter while it was read", where=self._where)
            yield view[:count]
            at += count

    # ----------------------------------------------------------------------------- signature

    def _digest(self, body: bytes | Stretch, length: int) -> str:
        if not length:
            return _EMPTY_SHA256
        if self._tls and isinstance(body, Stretch):
            return _UNSIGNED
        digest = hashlib.sha256()
        for data in self._pieces(body):
            digest.update(data)
        return digest.hexdigest()

    def _signed(
        self, method: str, path: str, query: str, given: Mapping[str, str], digest: str
    ) -> dict[str, str]:
        credentials = self._credentials()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {**given, "host": self._host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        if credentials.get("token"):
            headers["x-amz-security-token"] = str(credentials["token"])
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        secret = self._signing_key(str(credentials["secret_access_key"]), scope)
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
        signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials['access_key_id']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _signing_key(self, secret: str, scope: str) -> bytes:
        with self._key.lock:
            if self._key.of != (secret, scope):
                value = f"AWS4{secret}".encode()
                for word in scope.split("/"):
                    value = hmac.digest(value, word.encode(), "sha256")
                self._key.of, self._key.value = (secret, scope), value
            return self._key.value

    def _credentials(self) -> dict[str, Any]:
        provider = self._settings.get("credential_provider")
        if provider is None:
            return self._settings
        try:
            found: dict[str, Any] = provider()
        except Exception as error:  # whatever botocore's chain raises, boto3 says it in words
            raise Unusual(f"{error}") from error
        return found

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


@contextmanager
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


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
