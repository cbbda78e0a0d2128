"""ListObjectsV2 by the standard library: a page of 1,000 keys without loading boto3.

An unchanged sync is one listing, and boto3 takes several times longer to load and to parse it.
obstore's listing is no way either: it drops the slash at the end of a key. Signature Version 4 as
in "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from flyback.store.protocol import StoredObject
from flyback.store.s3_access import S3Access

__all__ = ["Listing", "ListingError"]

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_TIMEOUT_S = 60.0


class ListingError(Exception):
    """This way does not work here; boto3 knows more ways, and what is wrong."""


class Listing:
    """Pages of one bucket.

    Args:
        bucket: The bucket.
        access: How to reach it.
    """

    def __init__(self, bucket: str, access: S3Access) -> None:
        self._settings = access.quick_settings()
        region = str(self._settings["region"])
        endpoint = self._settings.get("endpoint")
        if endpoint is None and (region.startswith(("cn-", "us-gov-", "us-iso")) or "." in bucket):
            raise ListingError("not the usual address")
        base = str(endpoint) if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com"
        parts = urllib.parse.urlsplit(base)
        self._scheme, self._host = parts.scheme, parts.netloc
        self._path = f"{parts.path.rstrip('/')}/{bucket}" if endpoint else "/"
        self._region = region

    def pages(self, prefix: str) -> Iterator[list[StoredObject]]:
        """Every object under a prefix, page by page.

        Raises:
            ListingError: something else than a page was answered.
        """
        connection, token = self._connect(), ""
        try:
            while True:
                query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
                if token:
                    query["continuation-token"] = token
                root = self._ask(connection, query)
                yield [_item(element) for element in root if _name(element) == "Contents"]
                token = _text(root, "NextContinuationToken")
                if _text(root, "IsTruncated") != "true":
                    return
                if not token:
                    raise ListingError("a page without its continuation")
        finally:
            connection.close()

    def _connect(self) -> Any:
        import http.client

        if self._scheme != "https":
            return http.client.HTTPConnection(self._host, timeout=_TIMEOUT_S)
        import ssl

        certificates = self._settings["client_options"].get("root_certificate")
        context = ssl.create_default_context(cadata=certificates.decode() if certificates else None)
        return http.client.HTTPSConnection(self._host, timeout=_TIMEOUT_S, context=context)

    def _ask(self, connection: Any, query: Mapping[str, str]) -> Element:
        import http.client
        from xml.etree import ElementTree as ET

        text = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
        try:
            connection.request("GET", f"{self._path}?{text}", headers=self._signed(text))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise ListingError(f"{answer.status}")
            root = ET.fromstring(body)  # noqa: S314  # from S3 over TLS
        except (OSError, http.client.HTTPException, ParseError) as error:
            raise ListingError(f"{error}") from error
        if _name(root) != "ListBucketResult":
            raise ListingError(root.tag)
        return root

    def _signed(self, query: str) -> dict[str, str]:
        credentials = self._credentials()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "host": self._host,
            "x-amz-content-sha256": _EMPTY_SHA256,
            "x-amz-date": stamp,
        }
        if credentials.get("token"):
            headers["x-amz-security-token"] = str(credentials["token"])
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"GET\n{self._path}\n{query}\n{lines}\n{names}\n{_EMPTY_SHA256}"
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        secret = f"AWS4{credentials['secret_access_key']}".encode()
        for word in scope.split("/"):
            secret = hmac.new(secret, word.encode(), hashlib.sha256).digest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(secret, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials['access_key_id']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _credentials(self) -> dict[str, Any]:
        provider = self._settings.get("credential_provider")
        if provider is None:
            return self._settings
        found: dict[str, Any] = provider()
        return found


def _item(element: Element) -> StoredObject:
    fields = {_name(child): child.text or "" for child in element}
    key = urllib.parse.unquote_plus(fields["Key"])
    return StoredObject(key, int(fields["Size"]), fields.get("ETag", ""), _moment(fields))


def _moment(fields: Mapping[str, str]) -> float:
    """`2026-01-02T03:04:05.000Z`; the fraction that S3 tells is always zero."""
    import calendar

    return float(calendar.timegm(time.strptime(fields["LastModified"][:19], "%Y-%m-%dT%H:%M:%S")))


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(root: Element, name: str) -> str:
    return next((child.text or "" for child in root if _name(child) == name), "")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
