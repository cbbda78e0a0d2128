"""URL in, store out."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

from flyback.errors import UserError
from flyback.store.protocol import Store

__all__ = ["open_place", "open_store"]

_BUCKET = re.compile(r"[a-zA-Z0-9._-]{1,255}")  # what botocore takes


def open_store(url: str, *, s3_client: object = None) -> Store:
    """Open the store at `file:///folder`, `s3://bucket` or `memory://name`.

    Args:
        url: Where.
        s3_client: A boto3 S3 client, for s3 URLs; None reaches S3 by the environment and
            the configuration, by the standard library where that can.

    Raises:
        UserError: the URL's scheme is none of these, or it names no bucket.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        from flyback.store.file import FileStore

        return FileStore(Path(urllib.parse.unquote(parts.path)))
    if parts.scheme == "s3":
        from flyback.store.s3 import S3Store

        if not _BUCKET.fullmatch(parts.netloc):
            raise UserError(f"{url!r} names no bucket", remedy="write s3://bucket/prefix")
        prefix = url.removeprefix("s3://").partition("/")[2].strip("/")  # `?` and `#` are its own
        return S3Store(parts.netloc, prefix=prefix, client=s3_client)
    if parts.scheme == "memory":
        from flyback.store.memory import MemoryStore

        return MemoryStore.named(parts.netloc)
    raise UserError(
        f"{url!r} is no store", remedy="write file:///folder, s3://bucket or memory://name"
    )


def open_place(place: str) -> Store:
    """A store by its URL, or the folder of that name.

    Raises:
        UserError: the URL's scheme is unknown, or the name is a file's.
    """
    if "://" in place:
        return open_store(place)
    from flyback.store.file import FileStore

    folder = Path(place).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError("is a file, and a sync takes folders", where=place)
    return FileStore(folder)
