"""URL in, store out."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from flyback.errors import UserError
from flyback.store.protocol import Store

__all__ = ["open_store"]


def open_store(url: str, *, s3_client: object = None) -> Store:
    """Open the store at `file:///folder`, `s3://bucket` or `memory://name`.

    Args:
        url: Where.
        s3_client: A boto3 S3 client, for s3 URLs; None makes one from the environment.

    Raises:
        UserError: the URL's scheme is none of these.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        from flyback.store.file import FileStore

        return FileStore(Path(urllib.parse.unquote(parts.path)))
    if parts.scheme == "s3":
        from flyback.store.s3 import S3Store

        return S3Store(parts.netloc, prefix=parts.path.strip("/"), client=s3_client)
    if parts.scheme == "memory":
        from flyback.store.memory import MemoryStore

        return MemoryStore.named(parts.netloc)
    raise UserError(
        f"{url!r} is no store", remedy="write file:///folder, s3://bucket or memory://name"
    )
