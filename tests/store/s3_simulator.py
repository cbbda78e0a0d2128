"""An S3 in memory that rejects what S3 rejects: wrong checksums, stale conditions, small parts.

Objects, ranges, conditions, listings in pages, multipart uploads, checksums, expired credentials.
Signatures are not checked. As a program it serves until its standard input ends:

    python s3_simulator.py --latency 0.025 --rate 90e6 --certificate cert.pem --key key.pem
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import os
import ssl
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from s3_wire import Fault, Link, Request, Response, Server

__all__ = ["S3Simulator"]

_MOST_KEYS = 1000
_SMALLEST_PART = 5 << 20
_DATE = "2026-01-02T03:04:05.000Z"
_HTTP_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


class Refused(Exception):  # noqa: N818  # an answer, not a failure
    """An error answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Stored:
    """An object, or a part."""

    data: bytes
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """A multipart upload that is not complete."""

    key: str
    metadata: dict[str, str]
    full: bool
    parts: dict[int, Stored] = field(default_factory=dict)


class S3Simulator:
    """One server with any number of buckets, which need not be made.

    Args:
        link: Latency and rate.
        tls: Certificate and key files; None serves plain HTTP.
        port: 0 for any.
    """

    def __init__(
        self, link: Link | None = None, tls: tuple[Path, Path] | None = None, port: int = 0
    ) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.expired: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.fault: Callable[[Request], Fault | None] = lambda request: None  # noqa: ARG005  # none
        self.page = _MOST_KEYS
        self._lock = threading.Lock()
        self._sorted: list[str] | None = None
        context = None
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls)
        self._server = Server(self._answer, self._decide, link or Link(), context, port)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.port}"

    def close(self) -> None:
        """End."""
        self._server.close()

    def clear(self) -> None:
        """Forget every object and upload."""
        with self._lock:
            self.objects.clear()
            self.uploads.clear()
            self._sorted = None

    def _decide(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests[request.method] += 1
            return self.fault(request)

    def _answer(self, request: Request) -> Response:
        try:
            self._authorize(request)
            key = request.path.lstrip("/")
            if "/" not in key.rstrip("/") and request.method == "GET":
                if "uploads" in request.query:
                    return self._list_uploads(key.rstrip("/"), request)
                return self._list(key.rstrip("/"), request)
            return getattr(self, f"_{request.method.lower()}")(key, request)
        except Refused as refused:
            body = f"<Error><Code>{refused.code}</Code><Message>refused</Message></Error>"
            return Response(refused.status, body.encode(), {"Content-Type": "application/xml"})

    def _authorize(self, request: Request) -> None:
        credential = request.headers.get("authorization", "").partition("Credential=")[2]
        if not credential:
            raise Refused(403, "AccessDenied")
        if credential.partition("/")[0] in self.expired:
            raise Refused(400, "ExpiredToken")

    # ------------------------------------------------------------------------------- objects

    def _get(self, key: str, request: Request) -> Response:
        if "uploadId" in request.query:
            return self._list_parts(request)
        stored = self._stored(key)
        tag = request.headers.get("if-match")
        if tag is not None and tag.strip('"') != stored.etag.strip('"'):
            raise Refused(412, "PreconditionFailed")
        headers = {"ETag": stored.etag, "Last-Modified": _HTTP_DATE, "Accept-Ranges": "bytes"}
        headers |= {f"x-amz-meta-{name}": value for name, value in stored.metadata.items()}
        asked = request.headers.get("range")
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and not asked:
            headers |= stored.checksums
        if not asked:
            return Response(200, stored.data, headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(stored.data)) + 1, len(stored.data))
        if start >= len(stored.data):
            raise Refused(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(stored.data)}"
        return Response(206, memoryview(stored.data)[start:end], headers)

    def _head(self, key: str, request: Request) -> Response:
        response = self._get(key, request)
        response.headers["Content-Length"] = str(len(response.body))
        return response

    def _put(self, key: str, request: Request) -> Response:
        data, sums = _checked(request)
        if "uploadId" in request.query:
            upload = self._upload(request)
            # a part's ETag is opaque; MD5 would make the server the limit of what is measured
            etag = f'"{zlib.crc32(data):032x}"'
            upload.parts[int(request.query["partNumber"])] = Stored(data, etag, sums)
            return Response(headers={"ETag": etag, **sums})
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        self._store(key, Stored(data, etag, sums, _metadata(request)), request)
        return Response(headers={"ETag": etag, **sums})

    def _delete(self, key: str, request: Request) -> Response:
        if "uploadId" in request.query:
            self.uploads.pop(request.query["uploadId"], None)
            return Response(204)
        with self._lock:
            tag = request.headers.get("if-match")
            if tag and key in self.objects and self.objects[key].etag != tag:
                raise Refused(412, "PreconditionFailed")
            self.objects.pop(key, None)
            self._sorted = None
        return Response(204)

    def _store(self, key: str, stored: Stored, request: Request) -> None:
        tag = request.headers.get("if-match")
        with self._lock:
            if request.headers.get("if-none-match") == "*" and key in self.objects:
                raise Refused(412, "PreconditionFailed")
            if tag is not None and key not in self.objects:
                raise Refused(404, "NoSuchKey")
            if tag is not None and self.objects[key].etag.strip('"') != tag.strip('"'):
                raise Refused(412, "PreconditionFailed")
            self.objects[key] = stored
            self._sorted = None

    def _stored(self, key: str) -> Stored:
        try:
            return self.objects[key]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None

    # ------------------------------------------------------------------------------ listings

    def _list(self, bucket: str, request: Request) -> Response:
        query = request.query
        prefix = f"{bucket}/{query.get('prefix', '')}"
        after = query.get("continuation-token") or query.get("start-after", "")
        most = min(int(query.get("max-keys", self.page)), self.page)
        with self._lock:
            if self._sorted is None:
                self._sorted = sorted(self.objects, key=str.encode)
            keys = [k for k in self._sorted if k.startswith(prefix)]
        keys = [k for k in keys if k.split("/", 1)[1].encode() > after.encode()]
        page = keys[:most]
        coded = query.get("encoding-type") == "url"
        rows = "".join(self._row(key, coded=coded) for key in page)
        more = len(keys) > len(page)
        token = page[-1].split("/", 1)[1] if more else ""
        tail = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if more else ""
        body = (
            f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount>"
            f"{'<EncodingType>url</EncodingType>' if coded else ''}"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{tail}{rows}"
            "</ListBucketResult>"
        )
        return _xml(body)

    def _row(self, key: str, *, coded: bool) -> str:
        stored, name = self.objects[key], key.split("/", 1)[1]
        shown = quote(name, safe="/") if coded else escape(name)
        return (
            f"<Contents><Key>{shown}</Key><LastModified>{_DATE}</LastModified>"
            f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )

    # ----------------------------------------------------------------------------- multipart

    def _post(self, key: str, request: Request) -> Response:
        if "uploads" in request.query:
            name = binascii.hexlify(os.urandom(8)).decode()
            full = request.headers.get("x-amz-checksum-type", "") == "FULL_OBJECT"
            self.uploads[name] = Upload(key, _metadata(request), full)
            return _xml(
                f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        if "uploadId" in request.query:
            return self._complete(key, request)
        raise Refused(501, "NotImplemented")

    def _complete(self, key: str, request: Request) -> Response:
        upload = self._upload(request)
        numbers = []
        for part in ET.fromstring(request.body):  # noqa: S314  # from our own tests
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in part}
            number = int(fields["PartNumber"])
            held = upload.parts.get(number)
            claimed = fields.get("ChecksumCRC32")
            if held is None or held.etag.strip('"') != fields["ETag"].strip('"'):
                raise Refused(400, "InvalidPart")
            if claimed and claimed != held.checksums.get("x-amz-checksum-crc32"):
                raise Refused(400, "InvalidPart")
            numbers.append(number)
        if numbers != sorted(set(numbers)) or not numbers:
            raise Refused(400, "InvalidPartOrder")
        parts = [upload.parts[number] for number in numbers]
        if any(len(part.data) < _SMALLEST_PART for part in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        data = b"".join(part.data for part in parts)
        sums = _whole(upload, parts, data)
        claimed = request.headers.get("x-amz-checksum-crc32")
        if claimed and upload.full and claimed != sums["x-amz-checksum-crc32"]:
            raise Refused(400, "BadDigest")
        digests = b"".join(binascii.unhexlify(part.etag.strip('"')) for part in parts)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'
        self._store(key, Stored(data, etag, sums, upload.metadata), request)
        self.uploads.pop(request.query["uploadId"], None)
        return _xml(
            f"<CompleteMultipartUploadResult><ETag>{escape(etag)}</ETag>"
            "</CompleteMultipartUploadResult>"
        )

    def _upload(self, request: Request) -> Upload:
        try:
            return self.uploads[request.query["uploadId"]]
        except KeyError:
            raise Refused(404, "NoSuchUpload") from None

    def _list_uploads(self, bucket: str, request: Request) -> Response:
        prefix = f"{bucket}/{request.query.get('prefix', '')}"
        rows = "".join(
            f"<Upload><Key>{escape(upload.key.split('/', 1)[1])}</Key><UploadId>{name}</UploadId>"
            f"<Initiated>{_DATE}</Initiated></Upload>"
            for name, upload in self.uploads.items()
            if upload.key.startswith(prefix)
        )
        return _xml(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
            f"{rows}</ListMultipartUploadsResult>"
        )

    def _list_parts(self, request: Request) -> Response:
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag>"
            f"<Size>{len(part.data)}</Size>"
            f"<ChecksumCRC32>{part.checksums.get('x-amz-checksum-crc32', '')}</ChecksumCRC32>"
            "</Part>"
            for number, part in sorted(self._upload(request).parts.items())
        )
        return _xml(f"<ListPartsResult><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>")


def _whole(upload: Upload, parts: list[Stored], data: bytes) -> dict[str, str]:
    if upload.full:
        return {"x-amz-checksum-crc32": _crc32(data), "x-amz-checksum-type": "FULL_OBJECT"}
    each = [part.checksums.get("x-amz-checksum-crc32") for part in parts]
    if not all(each):
        return {}
    joined = b"".join(base64.b64decode(one or "") for one in each)
    return {
        "x-amz-checksum-crc32": f"{_crc32(joined)}-{len(each)}",
        "x-amz-checksum-type": "COMPOSITE",
    }


def _checked(request: Request) -> tuple[bytes, dict[str, str]]:
    """Body and checksums, after every check that S3 makes.

    Raises:
        Refused: BadDigest.
    """
    data, trailers = request.body, {}
    if "aws-chunked" in request.headers.get("content-encoding", ""):
        data, trailers = _unchunked(request.body)
    given = {**request.headers, **trailers}
    sums = {}
    if "x-amz-checksum-crc32" in given:
        sums["x-amz-checksum-crc32"] = _crc32(data)
    if "x-amz-checksum-sha256" in given:
        digest = hashlib.sha256(data).digest()
        sums["x-amz-checksum-sha256"] = base64.b64encode(digest).decode()
    payload = request.headers.get("x-amz-content-sha256", "")
    wrong = any(given[name] != value for name, value in sums.items())
    if len(payload) == 64 and payload != hashlib.sha256(data).hexdigest():  # hex
        wrong = True
    if "content-md5" in given:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        wrong |= base64.b64decode(given["content-md5"]) != digest
    if wrong:
        raise Refused(400, "BadDigest")
    if sums:
        sums["x-amz-checksum-type"] = "FULL_OBJECT"
    return data, sums


def _unchunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Decode aws-chunked: sizes in hexadecimal, chunks, then trailers."""
    pieces, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].split(b";")[0], 16)
        at = end + 2
        if size == 0:
            break
        pieces.append(body[at : at + size])
        at += size + 2
    lines = [line.partition(":") for line in body[at:].decode().split("\r\n") if line]
    return b"".join(pieces), {name.lower(): value.strip() for name, _, value in lines}


def _metadata(request: Request) -> dict[str, str]:
    found = request.headers.items()
    return {n.removeprefix("x-amz-meta-"): v for n, v in found if n.startswith("x-amz-meta-")}


def _crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def _xml(body: str) -> Response:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return Response(200, (head + body).encode(), {"Content-Type": "application/xml"})


def main() -> None:
    """Serve until standard input ends; the first line printed is the address."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    given = parser.parse_args()
    tls = (given.certificate, given.key) if given.certificate else None
    simulator = S3Simulator(Link(latency_s=given.latency, bytes_s=given.rate), tls)
    print(simulator.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
