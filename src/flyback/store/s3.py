"""A store in a bucket."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flyback.aws.errors import translated
from flyback.store.protocol import StoredObject

__all__ = ["S3Store"]


class S3Store:
    """Objects below an optional prefix of one bucket.

    Args:
        bucket: Its name.
        prefix: Without slashes at either end; may be empty.
        client: A boto3 S3 client; None makes one from the environment.
    """

    def __init__(self, bucket: str, *, prefix: str = "", client: Any = None) -> None:
        if client is None:
            import boto3

            client = boto3.client("s3")
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        with translated(f"{self.url}/{key}"):
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=data, **condition
            )

    def put_file(self, key: str, path: Path) -> None:
        with translated(f"{self.url}/{key}"):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def get(self, key: str) -> bytes:
        with translated(f"{self.url}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            body: bytes = answer["Body"].read()
        return body

    def get_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".flyback-part-")
        os.close(handle)
        try:
            with translated(f"{self.url}/{key}"):
                self._client.download_file(self._bucket, self._prefix + key, name)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with translated(f"{self.url}/{prefix}"):
            for page in pages:
                for item in page.get("Contents", []):
                    yield StoredObject(item["Key"].removeprefix(self._prefix), item["Size"])

    def delete(self, key: str) -> None:
        with translated(f"{self.url}/{key}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
