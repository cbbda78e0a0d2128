"""Small objects through obstore, several times quicker than boto3.

Its synchronous API in threads only: the asynchronous one can abort the interpreter at exit after
all work is done. Uploads carry a SHA-256 that S3 checks. Answers do not show the checksums that S3
stores, so a download is checked against the ETag where that is the content's MD5, and is fetched
again by boto3 where it is not.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
from typing import Any

from flyback.errors import (
    AccessDeniedError,
    ConflictError,
    FlybackError,
    NotFoundError,
    ServiceError,
)
from flyback.store.integrity import md5_tag
from flyback.store.s3_access import S3Access

__all__ = ["Doubt", "Larger", "Quick", "is_plain"]

_PLAIN = re.compile(r"[\w.+=@,()!' -]+(/[\w.+=@,()!' -]+)*", re.ASCII)
_CODE = re.compile(r"<Code>(\w+)</Code>")


class Doubt(Exception):  # noqa: N818  # not a failure: boto3 is asked instead
    """The quick way cannot answer for this object."""


class Larger(Doubt):
    """The object is larger than what was asked for."""


def is_plain(key: str) -> bool:
    """Whether both clients are known to spell a key alike: no `//`, no `..`, no escapes."""
    return _PLAIN.fullmatch(key) is not None and not {".", ".."} & set(key.split("/"))


class Quick:
    """Objects of one bucket, by full key.

    Args:
        bucket: Its name.
        access: How to reach it.
    """

    def __init__(self, bucket: str, access: S3Access) -> None:
        import obstore
        from obstore.store import S3Store

        self._obstore = obstore
        self._where = f"s3://{bucket}"
        self._store = S3Store(
            bucket,
            checksum_algorithm="SHA256",
            retry_config={
                "max_retries": 8,
                "backoff": {
                    "init_backoff": dt.timedelta(milliseconds=100),
                    "max_backoff": dt.timedelta(seconds=10),
                    "base": 2,
                },
                "retry_timeout": dt.timedelta(minutes=3),
            },
            **access.quick_settings(),
        )

    @staticmethod
    def installed() -> bool:
        """Whether there is obstore."""
        return importlib.util.find_spec("obstore") is not None

    def put(self, key: str, data: bytes) -> str:
        """Write an object; its tag."""
        with self._translated(key):
            answer = self._obstore.put(self._store, key, data, use_multipart=False)
        return str(answer["e_tag"] or "")

    def get(self, key: str, most: int) -> Any:
        """A verified object, as a buffer.

        Raises:
            Larger: it has more than `most` bytes.
            Doubt: its content cannot be verified this way.
        """
        with self._translated(key):
            answer = self._obstore.get(self._store, key)
            if answer.meta["size"] > most:
                raise Larger
            data = answer.bytes()
        view = memoryview(data)
        if len(view) != answer.meta["size"] or not md5_tag(answer.meta["e_tag"] or "", view):
            raise Doubt
        return view

    def _translated(self, key: str) -> _Translation:
        return _Translation(f"{self._where}/{key}")


class _Translation:
    """obstore's errors become ours; a class, since a generator costs more than the call inside."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (FlybackError, Doubt)):
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> FlybackError:
        from obstore import exceptions

        text = str(error).partition("\n\nDebug source")[0].strip()
        code = _CODE.search(str(error))
        if isinstance(error, (FileNotFoundError, exceptions.NotFoundError)):
            return NotFoundError("no such object", where=self._where, code="NoSuchKey")
        if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
            return ConflictError("the object exists or has changed", where=self._where)
        if code is not None:
            from flyback.aws.errors import error_for_code

            return error_for_code(code[1], "refused", self._where)
        if (
            isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError))
            or "credentials" in text.lower()
        ):
            return AccessDeniedError(
                text, where=self._where, remedy="check the credentials and that they may do this"
            )
        return ServiceError(text, where=self._where, remedy="check the network, then repeat")
