"""SigV4 from the other side: the signature that a request should carry.

Written from AWS's description of Signature Version 4, not with botocore's signer, so that other
clients' signatures (the agent's own, other languages' SDKs) are judged by the same rule.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_plus

from flyback.rehearsal.naming import Scope

__all__ = ["content_matches", "signature_of"]

_SHA256_DIGITS = 64


def signature_of(environ: Mapping[str, Any], body: bytes, scope: Scope, secret: str) -> str:
    """The signature of a request under a secret, in hexadecimal digits.

    Args:
        environ: The WSGI environment as it arrived.
        body: Raw body.
        scope: What the request says of its signature.
        secret: The secret access key.
    """
    credential_scope = f"{scope.date}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(_canonical(environ, body, scope).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{scope.moment}\n{credential_scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in credential_scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def content_matches(environ: Mapping[str, Any], body: bytes) -> bool:
    """Whether the body is the one whose digest was signed; true where none was."""
    claimed = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if len(claimed) != _SHA256_DIGITS:
        return True  # UNSIGNED-PAYLOAD, STREAMING-…, or no header: the signature has the digest
    return hashlib.sha256(body).hexdigest() == claimed


def _canonical(environ: Mapping[str, Any], body: bytes, scope: Scope) -> str:
    uri = environ.get("flyback.signed_uri") or environ.get("RAW_URI") or environ["PATH_INFO"]
    path, _, query = str(uri).partition("?")
    if scope.service != "s3":
        path = quote(_normal(path), safe="/~")
    payload = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if scope.presigned and scope.service == "s3":
        payload = payload or "UNSIGNED-PAYLOAD"
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in scope.signed_headers)
    return "\n".join(
        (
            str(environ["REQUEST_METHOD"]),
            path or "/",
            _canonical_query(query),
            headers,
            ";".join(scope.signed_headers),
            payload or hashlib.sha256(body).hexdigest(),
        )
    )


def _canonical_query(query: str) -> str:
    pairs = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name and unquote_plus(name) != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_plus(text), safe="~")


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return " ".join(str(environ.get(key, "")).split())


def _normal(path: str) -> str:
    """Without empty, `.` and `..` segments (RFC 3986), as every service but S3 wants it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if path.endswith("/") and kept else ""
    return f"/{'/'.join(kept)}{trailing}"
