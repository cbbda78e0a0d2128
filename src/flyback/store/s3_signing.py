"""Where a bucket answers, and requests signed for it (Signature Version 4).

As in "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyback.errors import NetworkError
from flyback.store.s3_access import S3Access

__all__ = ["Address", "Question", "Stretch", "Unusual", "pieces"]

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_BLOCK = 64  # bytes of SHA-256
_UNSIGNED = "UNSIGNED-PAYLOAD"  # over TLS, and beside a checksum; as the SDKs do
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
class Question:
    """A request: method, key (empty for the bucket), names and values of the query, headers."""

    method: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Stretch = b""

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.body.length if isinstance(self.body, Stretch) else len(self.body)


class Address:
    """One bucket's.

    Args:
        bucket: Its name.
        access: How to reach it.

    Raises:
        Unusual: not by the usual address.
    """

    def __init__(self, bucket: str, access: S3Access) -> None:
        if any(access.environ.get(n) or access.environ.get(n.lower()) for n in _UNUSUAL_SETTINGS):
            raise Unusual("a proxy or a special endpoint")
        if access.unusual:
            raise Unusual(access.unusual)
        self._settings = access.settings()
        self._region = str(self._settings["region"])
        endpoint = self._settings.get("endpoint")
        far = self._region.startswith(("cn-", "us-gov-", "us-iso", "eu-isoe"))
        if endpoint is None and (far or "." in bucket or ":" in bucket or "--" in bucket):
            raise Unusual("not the usual address")
        base = str(endpoint) if endpoint else f"https://{bucket}.s3.{self._region}.amazonaws.com"
        parts = urllib.parse.urlsplit(base)
        self.tls, self.host = parts.scheme == "https", parts.netloc
        self.name, self.port = parts.hostname or "", parts.port or (443 if self.tls else 80)
        self.where = f"s3://{bucket}"
        self._path = f"{parts.path.rstrip('/')}/{bucket}" if endpoint else ""
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._key: tuple[tuple[str, ...], _Hmac] = ((), _Hmac(b""))

    def context(self) -> ssl.SSLContext:
        """Whom to trust.

        Raises:
            Unusual: this Python trusts nobody.
        """
        with self._lock:
            if self._context is None:
                self._context = self._trusting()
            return self._context

    def signed(self, question: Question, scratch: memoryview) -> tuple[str, dict[str, str]]:
        """What to ask for, and the headers to ask with; their names are lower case.

        Args:
            question: The request.
            scratch: Memory for a body that has to be read to be signed.

        Raises:
            Unusual: no credentials by this way.
        """
        credentials = self._credentials()
        digest = self._digest(question, scratch)
        path = urllib.parse.quote(f"{self._path}/{question.key}", safe="/-_.~")
        query = question.query
        text = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            **question.headers,
            "host": self.host,
            "x-amz-content-sha256": digest,
            "x-amz-date": stamp,
        }
        if credentials.get("token"):
            headers["x-amz-security-token"] = str(credentials["token"])
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{question.method}\n{path}\n{text}\n{lines}\n{names}\n{digest}"
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = self._signing_key(str(credentials["secret_access_key"]), scope)
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
        signature = key.digest(to_sign.encode()).hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials['access_key_id']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        if question.length or question.method in ("PUT", "POST"):
            headers["content-length"] = str(question.length)
        return (f"{path}?{text}" if text else path), headers

    def _digest(self, question: Question, scratch: memoryview) -> str:
        if not question.length:
            return _EMPTY_SHA256
        if self.tls and isinstance(question.body, Stretch):
            return _UNSIGNED
        digest = hashlib.sha256()
        for data in pieces(question.body, scratch):
            digest.update(data)
        return digest.hexdigest()

    def _signing_key(self, secret: str, scope: str) -> _Hmac:
        """The key of a day: it takes four digests, and every request needs it."""
        held, key = self._key
        if held != (secret, scope):
            key = _Hmac(f"AWS4{secret}".encode())
            for word in scope.split("/"):
                key = _Hmac(key.digest(word.encode()))
            self._key = (secret, scope), key
        return key

    def _credentials(self) -> dict[str, Any]:
        provider = self._settings.get("credential_provider")
        if provider is None:
            return self._settings
        try:
            found: dict[str, Any] = provider()
        except Exception as error:  # whatever botocore's chain raises, boto3 says it in words
            raise Unusual(f"{error}") from error
        return found

    def _trusting(self) -> ssl.SSLContext:
        given = self._settings.get("authority")
        context = ssl.create_default_context(cadata=given)
        if given is None and not context.cert_store_stats()["x509_ca"]:
            paths = ssl.get_default_verify_paths()
            if not os.path.isdir(paths.capath) or not os.listdir(paths.capath):  # noqa: PTH112, PTH208  # pathlib is not loaded for one line
                raise Unusual("this Python trusts nobody; boto3 brings a list")
        return context


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) with one key for many messages.

    The `hmac` module gives up the interpreter's lock for each, and waiting for it to come back
    costs more than the digest.
    """

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        """32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def pieces(body: bytes | Stretch, scratch: memoryview) -> Iterator[bytes | memoryview]:
    """A body, in pieces that fit into the scratch memory; each is gone when the next one comes.

    Raises:
        NetworkError: the file became shorter.
    """
    if not isinstance(body, Stretch):
        if body:
            yield body
        return
    at, end = body.start, body.start + body.length
    while at < end:
        count = os.preadv(body.descriptor, [scratch[: end - at]], at)
        if not count:
            raise NetworkError("the file became shorter while it was read")
        yield scratch[:count]
        at += count


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
