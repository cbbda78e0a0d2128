"""The requests that move data: by the standard library, by boto3 where that cannot."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from flyback.errors import FlybackError, ServiceError
from flyback.store.budget import Budget
from flyback.store.integrity import encoded
from flyback.store.s3_access import S3Access
from flyback.store.s3_http import Answer, S3Http, Stretch, Take, Unusual

__all__ = ["Described", "Operations", "SentPart"]

T = TypeVar("T")

Described = dict[str, Any]
"""Length, tag and checksum of an object, under boto3's names."""

SentPart = tuple[str, int]
"""ETag and CRC-32 of an uploaded part."""

_STEP = 1 << 18  # what boto3 is read in
_MEMORY_BYTES = 64 << 20  # of bodies in flight through boto3
_PARTIAL = 206
_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}


class Operations:
    """Requests to one bucket, by full key.

    Args:
        bucket: Its name.
        access: How to reach it.
        thin: Whether to try the standard library first.
    """

    def __init__(self, bucket: str, access: S3Access, *, thin: bool) -> None:
        self._bucket = bucket
        self._access = access
        self._thin = thin
        self._http: S3Http | None = None
        self._budget = Budget(_MEMORY_BYTES)
        self._lock = threading.Lock()

    # -------------------------------------------------------------------------------- reading

    def head(self, key: str, part: int | None = None) -> Described:
        """Length, tag and checksum of an object or of one of its parts, as boto3 gives them."""

        def thin(http: S3Http) -> Described:
            query = {} if part is None else {"partNumber": str(part)}
            try:
                return _described(http.ask("HEAD", key, query, _CHECKSUMS))
            except ServiceError as error:
                if error.code in ("400", "403"):  # an answer to HEAD has no room for the reason
                    http.ask("GET", key, query, {"range": "bytes=0-0"})
                raise

        def whole() -> Described:
            chosen = {} if part is None else {"PartNumber": part}
            return dict(self._boto3("head_object", key, ChecksumMode="ENABLED", **chosen))

        return self._either(thin, whole)

    def fetch(self, key: str, begin: Callable[[Described], Take | None]) -> None:
        """Read an object from its beginning.

        Args:
            key: The object.
            begin: Given length, tag and checksum, gives what takes the bytes; None ends here.

        Raises:
            ServiceError: it did not arrive whole.
        """

        def whole() -> None:
            answer = self._boto3("get_object", key, ChecksumMode="ENABLED")
            self._flow(answer, begin(answer), key)

        self._either(
            lambda http: http.fetch(key, _CHECKSUMS, lambda head: begin(_described(head))), whole
        )

    def read(self, key: str, span: tuple[int, int], tag: str, take: Take) -> None:
        """Read a range of one version.

        Args:
            key: The object.
            span: First byte and length.
            tag: The version's.
            take: Given the bytes.

        Raises:
            ConflictError: the object has no longer that tag.
            ServiceError: the range did not arrive whole.
        """
        start, length = span
        limits = f"bytes={start}-{start + length - 1}"

        def checked(head: Answer) -> Take:
            if head.status != _PARTIAL or head.headers["content-length"] != str(length):
                raise Unusual("a range was not answered with it")
            return take

        def whole() -> None:
            answer = self._boto3("get_object", key, IfMatch=tag, Range=limits)
            self._flow(answer, take, key)

        self._either(
            lambda http: http.fetch(key, {"if-match": tag, "range": limits}, checked), whole
        )

    def _flow(self, answer: Any, take: Take | None, key: str) -> None:
        length, at = int(answer["ContentLength"]), 0
        with self._translated(key), contextlib.closing(answer["Body"]) as body:
            if take is None:
                return
            while at < length and (data := body.read(min(_STEP, length - at))):
                take(memoryview(data), at)
                at += len(data)
        if at != length:
            raise ServiceError("the body ended before its length", where=key)

    # -------------------------------------------------------------------------------- writing

    def put(self, key: str, body: bytes | Stretch, checksum: int) -> str:
        """Write an object in one request; its tag.

        Args:
            key: The object.
            body: Its bytes.
            checksum: Their CRC-32, which S3 compares.
        """

        def thin(http: S3Http) -> str:
            headers = {"x-amz-checksum-crc32": encoded(checksum)}
            return http.ask("PUT", key, {}, headers, body).headers["etag"]

        def whole() -> str:
            with self._held(body) as data:
                answer = self._boto3("put_object", key, Body=data, ChecksumCRC32=encoded(checksum))
            return str(answer["ETag"])

        return self._either(thin, whole)

    def begin(self, key: str) -> str:
        """Start a multipart upload whose checksum will be the whole object's; its id."""

        def thin(http: S3Http) -> str:
            wanted = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
            body = http.ask("POST", key, {"uploads": ""}, wanted).body
            return _text(_parsed(body, "InitiateMultipartUploadResult"), "UploadId")

        def whole() -> str:
            answer = self._boto3(
                "create_multipart_upload",
                key,
                ChecksumAlgorithm="CRC32",
                ChecksumType="FULL_OBJECT",
            )
            return str(answer["UploadId"])

        return self._either(thin, whole)

    def send(self, key: str, upload_id: str, number: int, body: Stretch, checksum: int) -> str:
        """Upload a part; its tag.

        Args:
            key: The object.
            upload_id: Of the upload.
            number: Of the part, from 1.
            body: Its bytes.
            checksum: Their CRC-32, which S3 compares.
        """

        def thin(http: S3Http) -> str:
            query = {"partNumber": str(number), "uploadId": upload_id}
            headers = {"x-amz-checksum-crc32": encoded(checksum)}
            return http.ask("PUT", key, query, headers, body).headers["etag"]

        def whole() -> str:
            named = {"UploadId": upload_id, "PartNumber": number}
            with self._held(body) as data:
                answer = self._boto3(
                    "upload_part", key, Body=data, ChecksumCRC32=encoded(checksum), **named
                )
            return str(answer["ETag"])

        return self._either(thin, whole)

    def complete(
        self, key: str, upload_id: str, parts: Mapping[int, SentPart], whole_of: tuple[int, int]
    ) -> str:
        """Make the object of its parts; its tag.

        Args:
            key: The object.
            upload_id: Of the upload.
            parts: By number.
            whole_of: CRC-32 and length of the whole, which S3 compares.
        """
        checksum, size = whole_of

        def thin(http: S3Http) -> str:
            rows = "".join(
                f"<Part><PartNumber>{n}</PartNumber><ETag>{escape(parts[n][0])}</ETag>"
                f"<ChecksumCRC32>{encoded(parts[n][1])}</ChecksumCRC32></Part>"
                for n in sorted(parts)
            )
            space = "http://s3.amazonaws.com/doc/2006-03-01/"
            document = f'<CompleteMultipartUpload xmlns="{space}">{rows}</CompleteMultipartUpload>'
            headers = {
                "content-type": "application/xml",
                "x-amz-checksum-crc32": encoded(checksum),
                "x-amz-checksum-type": "FULL_OBJECT",
                "x-amz-mp-object-size": str(size),
            }
            body = http.ask("POST", key, {"uploadId": upload_id}, headers, document.encode()).body
            return _text(_parsed(body, "CompleteMultipartUploadResult"), "ETag")

        def whole() -> str:
            listed = [
                {"PartNumber": n, "ETag": parts[n][0], "ChecksumCRC32": encoded(parts[n][1])}
                for n in sorted(parts)
            ]
            answer = self._boto3(
                "complete_multipart_upload",
                key,
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
                ChecksumCRC32=encoded(checksum),
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
            )
            return str(answer["ETag"])

        return self._either(thin, whole)

    def abandon(self, key: str, upload_id: str) -> None:
        """Forget an upload, as far as that succeeds."""
        with contextlib.suppress(FlybackError):
            self._boto3("abort_multipart_upload", key, UploadId=upload_id)

    def begun(self, key: str) -> str | None:
        """The youngest upload of this key that was not completed."""

        def thin(http: S3Http) -> list[tuple[str, str]]:
            body = http.ask("GET", "", {"uploads": "", "prefix": key}).body
            root = _parsed(body, "ListMultipartUploadsResult")
            rows = [element for element in root if _name(element) == "Upload"]
            return [
                (_text(row, "Initiated"), _text(row, "UploadId"))
                for row in rows
                if _text(row, "Key") == key
            ]

        def whole() -> list[tuple[str, str]]:
            answer = self._boto3("list_multipart_uploads", None, Prefix=key)
            return [
                (u["Initiated"].isoformat(), str(u["UploadId"]))
                for u in answer.get("Uploads", [])
                if u["Key"] == key
            ]

        found = self._either(thin, whole)
        return max(found)[1] if found else None

    def parts(self, key: str, upload_id: str) -> Sequence[Mapping[str, Any]]:
        """The parts that an upload has, as boto3 gives them."""
        with self._translated(key):
            pages = self._access.client.get_paginator("list_parts").paginate(
                Bucket=self._bucket, Key=key, UploadId=upload_id
            )
            return [part for page in pages for part in page.get("Parts", [])]

    # ---------------------------------------------------------------------------- inner parts

    @contextlib.contextmanager
    def _held(self, body: bytes | Stretch) -> Iterator[bytes]:
        """A body in memory, for boto3, within the budget."""
        if isinstance(body, bytes):
            yield body
            return
        with self._budget.hold(body.length):
            yield os.pread(body.descriptor, body.length, body.start)

    def _either(self, thin: Callable[[S3Http], T], whole: Callable[[], T]) -> T:
        http = self.http()
        if http is not None:
            try:
                return thin(http)
            except (Unusual, ParseError, KeyError):
                self._thin = False
        return whole()

    def http(self) -> S3Http | None:
        """The standard library's way, where it is one."""
        with self._lock:
            if self._thin and self._http is None:
                try:
                    self._http = S3Http(self._bucket, self._access)
                except Unusual:
                    self._thin = False
            return self._http if self._thin else None

    def _boto3(self, operation: str, key: str | None, **arguments: Any) -> Any:
        if key is not None:
            arguments["Key"] = key
        with self._translated(key or ""):
            return getattr(self._access.client, operation)(Bucket=self._bucket, **arguments)

    def _translated(self, key: str) -> contextlib.AbstractContextManager[None]:
        from flyback.aws.errors import translated

        return translated(f"s3://{self._bucket}/{key}")


def _described(head: Answer) -> Described:
    """What the headers of an object say, under boto3's names."""
    found = head.headers
    return {
        "ContentLength": int(found["content-length"]),
        "ETag": found["etag"],
        "ChecksumCRC32": found.get("x-amz-checksum-crc32", ""),
        "ServerSideEncryption": found.get("x-amz-server-side-encryption", ""),
        "SSECustomerAlgorithm": found.get("x-amz-server-side-encryption-customer-algorithm", ""),
    }


def _parsed(body: bytes, name: str) -> Element:
    """An answer; S3 may say an error under status 200, when the work took long.

    Raises:
        ServiceError: it did.
    """
    from xml.etree import ElementTree as ET

    root = ET.fromstring(body)  # noqa: S314  # from S3 over TLS
    if _name(root) == name:
        return root
    from flyback.aws.errors import error_for_code

    raise error_for_code(_text(root, "Code") or "InternalError", _text(root, "Message"), name)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(root: Element, name: str) -> str:
    return next((child.text or "" for child in root if _name(child) == name), "")
