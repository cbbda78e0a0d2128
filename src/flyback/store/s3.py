"""A store in a bucket."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flyback.errors import ServiceError, UserError
from flyback.store.integrity import Expected, Running, crc32, encoded, file_crc32
from flyback.store.keys import check_key
from flyback.store.landing import landing, write_all
from flyback.store.meter import Meter
from flyback.store.protocol import StoredObject
from flyback.store.retry import Retry
from flyback.store.s3_access import S3Access
from flyback.store.s3_http import Stretch, Take
from flyback.store.s3_listing import Listing, ListingError
from flyback.store.s3_operations import Described, Operations
from flyback.store.s3_parts import Parts

__all__ = ["SMALL_BYTES", "S3Store"]

SMALL_BYTES = 8 << 20
"""Objects up to this size move in one request; the others in parts of this size."""
_BOTO3_THREADS = 8  # each with a whole part in memory
_PART_THREADS = 32  # each with a connection, and 256 KB of memory


class _Large(Exception):  # noqa: N818  # an answer: the object is to be fetched in ranges
    """More than `SMALL_BYTES`."""

    def __init__(self, described: Described) -> None:
        super().__init__()
        self.described = described


class S3Store:
    """Objects below an optional prefix of one bucket.

    Bytes and listings travel through the standard library; what is rare or unusual, and everything
    with a given client, through boto3.

    Args:
        bucket: Its name.
        prefix: Without slashes at either end; may be empty.
        client: A boto3 S3 client; None makes one from the environment.
        retry: How patiently each request is repeated, over what the clients do themselves.
        quick: False keeps to boto3 for everything.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        client: Any = None,
        retry: Retry | None = None,
        quick: bool = True,
    ) -> None:
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self.meter = Meter()
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = S3Access(client)
        self._retry = retry or Retry()
        self._operations = Operations(bucket, self._access, thin=quick and client is None)
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------- objects

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        check_key(self._prefix + key, self.url)
        if not if_absent and if_tag is None:
            checksum = crc32(data)
            return self._retry(lambda: self._operations.put(self._prefix + key, data, checksum))
        arguments: dict[str, Any] = {}
        if if_absent:
            arguments["IfNoneMatch"] = "*"
        if if_tag is not None:
            arguments["IfMatch"] = if_tag

        with self._translated(key):  # not repeated: it would meet its own first try
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ChecksumCRC32=encoded(crc32(data)),
                **arguments,
            )
        return str(answer["ETag"])

    def put_file(self, key: str, path: Path) -> str:
        whole = self._prefix + key
        check_key(whole, self.url)
        self.meter.check()
        if path.stat().st_size > SMALL_BYTES:
            return self._parts.upload(whole, path, self.meter)
        size, tag = self._retry(lambda: self._put_small(whole, path))
        self.meter.add(size)
        return tag

    def get(self, key: str) -> bytes:
        def request() -> bytes:
            data = bytearray()
            self._fetch(key, sys.maxsize, lambda: lambda part, at: data.extend(part))  # noqa: ARG005  # in order
            return bytes(data)

        return self._retry(request)

    def get_range(self, key: str, start: int, length: int, *, tag: str | None = None) -> bytes:
        if length <= 0:
            return b""
        arguments = {"IfMatch": tag} if tag is not None else {}

        def request() -> bytes:
            with self._translated(key):
                answer = self._client.get_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Range=f"bytes={start}-{start + length - 1}",
                    **arguments,
                )
                return bytes(answer["Body"].read())

        try:
            return self._retry(request)
        except ServiceError as error:
            if error.code in ("InvalidRange", "416"):
                return b""
            raise

    def get_file(self, key: str, path: Path, *, listed: StoredObject | None = None) -> None:
        try:
            self._get_file(key, path, listed)
        except OSError as error:
            raise ServiceError(f"{error}", where=f"{path}", remedy="free some disk") from error

    def stat(self, key: str) -> StoredObject:
        with self._translated(key):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        modified = answer["LastModified"].timestamp()
        return StoredObject(key, int(answer["ContentLength"]), str(answer["ETag"]), modified)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        whole, last = self._prefix + prefix, ""
        http = self._operations.http()
        if http is not None:
            with contextlib.suppress(ListingError):  # boto3 goes on where that ended
                for page in Listing(http).pages(whole):
                    for item in page:
                        last = item.key
                        yield self._named(item)
                return
        yield from self._list_after(whole, last)

    def delete(self, key: str) -> None:
        with self._translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    # ---------------------------------------------------------------------------- inner parts

    @property
    def _client(self) -> Any:
        return self._access.client

    @functools.cached_property
    def _parts_once(self) -> Parts:
        threads = _PART_THREADS
        if self._operations.http() is None:
            config = self._client.meta.config
            threads = min(_BOTO3_THREADS, int(getattr(config, "max_pool_connections", 10)))
        executor = ThreadPoolExecutor(threads, "flyback-part")
        return Parts(self._operations, self._bucket, executor, self._retry)

    @property
    def _parts(self) -> Parts:
        with self._lock:
            return self._parts_once

    def _translated(self, key: str) -> contextlib.AbstractContextManager[None]:
        from flyback.aws.errors import translated

        return translated(f"{self.url}/{key}")

    def _put_small(self, whole: str, path: Path) -> tuple[int, str]:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            checksum = file_crc32(file.fileno(), 0, size)
            return size, self._operations.put(whole, Stretch(file.fileno(), 0, size), checksum)

    def _get_file(self, key: str, path: Path, listed: StoredObject | None) -> None:
        whole = self._prefix + key
        check_key(whole, self.url)
        self.meter.check()
        if listed is not None and listed.size > SMALL_BYTES:
            large = self._retry(lambda: self._operations.head(whole))
        else:
            try:
                self.meter.add(self._retry(lambda: self._land(key, path)))
            except _Large as found:
                large = found.described
            else:
                return
        self._retry(lambda: self._parts.download(whole, path, large, self.meter))

    def _land(self, key: str, path: Path) -> int:
        """Download a small object; its size.

        Raises:
            _Large: it is none.
        """
        with contextlib.ExitStack() as stack:
            descriptor = -1

            def place() -> Take:  # not before its size is known: ranges keep what they find
                nonlocal descriptor
                descriptor, _ = stack.enter_context(landing(path))
                return lambda part, at: write_all(descriptor, part, at)

            large = self._fetch(key, SMALL_BYTES, place)
            if large is not None:
                raise _Large(large)
            return os.fstat(descriptor).st_size

    def _fetch(self, key: str, most: int, place: Callable[[], Take]) -> Described | None:
        """The object's bytes, verified; only what is said of it where there are more than `most`.

        Args:
            key: Its name.
            most: Bytes.
            place: Called when they begin to come; gives what takes them.

        Raises:
            ServiceError: they are not those that S3 stored.
        """
        large: Described | None = None
        running = Running()

        def begin(found: Described) -> Take | None:
            nonlocal large, running
            if int(found["ContentLength"]) > most:
                large = found
                return None
            running, take = Expected(found).running(), place()

            def both(data: memoryview, at: int) -> None:
                running.take(data)
                take(data, at)

            return both

        self._operations.fetch(self._prefix + key, begin)
        if not running.agrees():
            raise ServiceError(
                "the object arrived damaged: its checksum is not the stored one",
                where=f"{self.url}/{key}",
                remedy="repeat the download",
                code="BadDigest",
            )
        return large

    def _list_after(self, prefix: str, after: str) -> Iterator[StoredObject]:
        arguments = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, **arguments
        )
        with self._translated(prefix.removeprefix(self._prefix)):
            for page in pages:
                for item in page.get("Contents", []):
                    yield self._named(
                        StoredObject(
                            item["Key"],
                            item["Size"],
                            item.get("ETag", ""),
                            item["LastModified"].timestamp(),
                        )
                    )

    def _named(self, item: StoredObject) -> StoredObject:
        if not self._prefix:
            return item
        if not item.key.startswith(self._prefix):
            raise UserError(f"S3 listed {item.key!r} under {self._prefix!r}", where=self.url)
        inner = item.key[len(self._prefix) :]
        return StoredObject(inner, item.size, item.tag, item.modified)
