"""ListObjectsV2 by the standard library: a page of 1,000 keys without loading boto3.

An unchanged sync is one listing, and boto3 takes several times longer to load and to parse it.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element, ParseError

from flyback.errors import FlybackError
from flyback.store.protocol import StoredObject
from flyback.store.s3_http import S3Http, Unusual

__all__ = ["Listing", "ListingError"]


class ListingError(Exception):
    """This way does not work here; boto3 knows more ways, and what is wrong."""


class Listing:
    """Pages of one bucket.

    Args:
        http: Asks it.
    """

    def __init__(self, http: S3Http) -> None:
        self._http = http

    def pages(self, prefix: str) -> Iterator[list[StoredObject]]:
        """Every object under a prefix, page by page.

        Raises:
            ListingError: something else than a page was answered.
        """
        token = ""
        while True:
            query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            root = self._ask(query)
            yield [_item(element) for element in root if _name(element) == "Contents"]
            token = _text(root, "NextContinuationToken")
            if _text(root, "IsTruncated") != "true":
                return
            if not token:
                raise ListingError("a page without its continuation")

    def _ask(self, query: Mapping[str, str]) -> Element:
        from xml.etree import ElementTree as ET

        try:
            root = ET.fromstring(self._http.ask("GET", "", query).body)  # noqa: S314  # from S3 over TLS
        except (FlybackError, Unusual, ParseError) as error:
            raise ListingError(f"{error}") from error
        if _name(root) != "ListBucketResult":
            raise ListingError(root.tag)
        return root


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
