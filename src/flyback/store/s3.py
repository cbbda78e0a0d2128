"""A store in a bucket."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flyback.errors import ServiceError, UserError
from flyback.store.budget import Budget
from flyback.store.integrity import Expected, crc32, encoded
from flyback.store.keys import check_key
from flyback.store.landing import landing, write_all
from flyback.store.meter import Meter
from flyback.store.protocol import StoredObject
from flyback.store.retry import Retry
from flyback.store.s3_access import S3Access
from flyback.store.s3_listing import Listing, ListingError
from flyback.store.s3_operations import Operations
from flyback.store.s3_parts import Parts
from flyback.store.s3_quick import Doubt, Larger, Quick, is_plain

__all__ = ["SMALL_BYTES", "S3Store"]

SMALL_BYTES = 8 << 20
"""Objects up to this size move in one request; the others in parts of this size."""
_MEMORY_BYTES = 64 << 20  # in flight at once
_BOTO3_THREADS = 8  # each with a whole part in memory
_PART_THREADS = 32  # each with a connection, and a megabyte of memory


class S3Store:
    """Objects below an optional prefix of one bucket.

    Small objects go through obstore where it is installed, large ones and listings through the
    standard library, everything else, and everything with a given client, through boto3.

    Args:
        bucket: Its name.
        prefix: Without slashes at either end; may be empty.
        client: A boto3 S3 client; None makes one from the environment.
        retry: How patiently each request is repeated, over what the clients do themselves.
        quick: Whether to use obstore; None: where there is one and no client was given. False
            keeps to boto3 for everything.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        client: Any = None,
        retry: Retry | None = None,
        quick: bool | None = None,
    ) -> None:
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self.meter = Meter()
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = S3Access(client)
        self._retry = retry or Retry()
        self._use_quick = (client is None and Quick.installed()) if quick is None else quick
        thin = client is None and quick is not False
        self._operations = Operations(bucket, self._access, thin=thin)
        self._budget = Budget(_MEMORY_BYTES)
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------- objects

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        check_key(self._prefix + key, self.url)
        conditional = if_absent or if_tag is not None
        if self._quick is not None and not conditional and is_plain(self._prefix + key):
            return self._retry(lambda: self._quick_put(key, data))
        arguments: dict[str, Any] = {}
        if if_absent:
            arguments["IfNoneMatch"] = "*"
        if if_tag is not None:
            arguments["IfMatch"] = if_tag

        def request() -> str:
            with self._translated(key):
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=data,
                    ChecksumCRC32=encoded(crc32(data)),
                    **arguments,
                )
            return str(answer["ETag"])

        # a repeated conditional write would meet its own first try
        return request() if conditional else self._retry(request)

    def put_file(self, key: str, path: Path) -> str:
        size = path.stat().st_size
        if size > SMALL_BYTES:
            check_key(self._prefix + key, self.url)
            return self._parts.upload(self._prefix + key, path, self.meter)
        with self._budget.hold(size):
            self.meter.check()
            data = path.read_bytes()
            tag = self.put(key, data)
        self.meter.add(len(data))
        return tag

    def get(self, key: str) -> bytes:
        return bytes(self._retry(lambda: self._whole(key)))

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
    def _quick_or_none(self) -> Quick | None:
        return Quick(self._bucket, self._access) if self._use_quick else None

    @property
    def _quick(self) -> Quick | None:
        with self._lock:
            return self._quick_or_none

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

    def _quick_put(self, key: str, data: bytes) -> str:
        assert self._quick is not None  # noqa: S101  # asked by the caller
        return self._quick.put(self._prefix + key, data)

    def _get_file(self, key: str, path: Path, listed: StoredObject | None) -> None:
        check_key(self._prefix + key, self.url)
        self.meter.check()
        large = listed is not None and listed.size > SMALL_BYTES  # no need to ask for it whole
        found = self._retry(lambda: self._head(key) if large else self._small(key))
        if isinstance(found, dict):
            self._retry(lambda: self._parts.download(self._prefix + key, path, found, self.meter))
            return
        with landing(path) as (descriptor, _):
            write_all(descriptor, found, 0)
        self.meter.add(len(found))

    def _small(self, key: str) -> Any:
        """A verified object of up to `SMALL_BYTES`, or what GetObject says of a larger one."""
        if self._quick is not None and is_plain(self._prefix + key):
            try:
                return self._quick.get(self._prefix + key, SMALL_BYTES)
            except Larger:
                return self._head(key)
            except Doubt:
                pass
        return self._read(key, SMALL_BYTES)

    def _head(self, key: str) -> dict[str, Any]:
        return self._operations.head(self._prefix + key)

    def _whole(self, key: str) -> Any:
        if self._quick is not None and is_plain(self._prefix + key):
            with contextlib.suppress(Doubt):
                return self._quick.get(self._prefix + key, SMALL_BYTES)
        return self._read(key, None)

    def _read(self, key: str, most: int | None) -> Any:
        """Bytes through boto3, verified; only the answer where there are more than `most`."""
        with self._translated(key):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
            )
            with contextlib.closing(answer["Body"]) as body:
                if most is not None and int(answer["ContentLength"]) > most:
                    return {**answer, "Body": None}
                data = body.read()
        if len(data) != int(answer["ContentLength"]) or not Expected(answer).accepts(data):
            raise ServiceError(
                "the object arrived damaged: its checksum is not the stored one",
                where=f"{self.url}/{key}",
                remedy="repeat the download",
                code="BadDigest",
            )
        return data

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
