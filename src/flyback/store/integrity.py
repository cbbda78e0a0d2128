"""Checksums: what S3 stores beside an object, and what we compute from the bytes.

CRC-32 of a whole object is put together from those of its parts, so that parts may travel in any
order (the method of zlib's `crc32_combine`: appending n zero bytes is a linear map over GF(2)).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import zlib
from collections.abc import Sequence

__all__ = ["Expected", "Running", "combine", "crc32", "encoded", "file_crc32", "whole_crc32"]

_POLYNOMIAL = 0xEDB88320  # CRC-32, reflected
_MD5_TAG = re.compile(r'"?([0-9a-f]{32})"?')


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """CRC-32 (ISO-HDLC) of data, continuing from a value."""
    return zlib.crc32(data, value)


def encoded(value: int) -> str:
    """A CRC-32 as S3 writes it: base64 of four bytes, the highest first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def combine(first: int, second: int, length: int) -> int:
    """CRC-32 of two stretches in a row, from theirs and the length of the second in bytes."""
    return _apply(_zeros(length), first) ^ second


def whole_crc32(parts: Sequence[tuple[int, int]]) -> int:
    """CRC-32 of parts in a row, each given as CRC-32 and length."""
    value = 0
    for checksum, length in parts:
        value = combine(value, checksum, length)
    return value


def file_crc32(descriptor: int, start: int, length: int) -> int:
    """CRC-32 of a stretch of an open file."""
    import os

    value, end = 0, start + length
    while start < end:
        piece = os.pread(descriptor, min(1 << 20, end - start), start)
        if not piece:
            break
        value, start = zlib.crc32(piece, value), start + len(piece)
    return value


class Running:
    """A checksum that is computed as the bytes come.

    Args:
        crc32_wanted: What it is to be, as S3 writes it; empty for none.
        md5_wanted: In hexadecimal; empty for none.
    """

    def __init__(self, *, crc32_wanted: str = "", md5_wanted: str = "") -> None:
        self._crc32_wanted = crc32_wanted
        self._md5_wanted = md5_wanted
        self._crc32 = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def take(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if self._crc32_wanted:
            self._crc32 = crc32(data, self._crc32)
        elif self._md5_wanted:
            self._md5.update(data)

    def agrees(self) -> bool:
        """Whether the bytes are those that S3 stored; True where it says nothing of them."""
        if self._crc32_wanted:
            return encoded(self._crc32) == self._crc32_wanted
        return self._md5_wanted in ("", self._md5.hexdigest())


class Expected:
    """What S3 says that an object's checksum is.

    Args:
        answer: Of GetObject or HeadObject with `ChecksumMode=ENABLED`, as boto3 gives it. An ETag
            is the content's MD5 unless a KMS or customer's key encrypts it.
    """

    def __init__(self, answer: dict[str, object]) -> None:
        self._crc32 = str(answer.get("ChecksumCRC32") or "")
        self._tag = str(answer.get("ETag") or "")
        encryption = str(answer.get("ServerSideEncryption") or "")
        self._plain_md5 = not encryption.startswith("aws:kms") and not answer.get(
            "SSECustomerAlgorithm"
        )

    @property
    def composite_parts(self) -> int | None:
        """Parts whose CRC-32s the object's is a checksum of; None where it is of the bytes."""
        _, dash, count = self._crc32.partition("-")
        return int(count) if dash else None

    def running(self) -> Running:
        """Takes the bytes in order, and says whether they are the object, as far as S3 says."""
        if self._crc32 and self.composite_parts is None:
            return Running(crc32_wanted=self._crc32)
        match = _MD5_TAG.fullmatch(self._tag) if self._plain_md5 else None
        return Running(md5_wanted=match[1] if match else "")

    def accepts_parts(self, parts: Sequence[tuple[int, int]]) -> bool:
        """Whether parts in a row, each CRC-32 and length, are the object, as far as S3 says."""
        if not self._crc32:
            return True
        count = self.composite_parts
        if count is None:
            return encoded(whole_crc32(parts)) == self._crc32
        if count != len(parts):
            return True  # cut at other places than the upload was
        joined = b"".join(checksum.to_bytes(4, "big") for checksum, _ in parts)
        return f"{encoded(crc32(joined))}-{count}" == self._crc32


@functools.lru_cache(maxsize=64)
def _zeros(length: int) -> tuple[int, ...]:
    """The linear map of appending `length` zero bytes: images of the 32 unit vectors."""
    bit = (_POLYNOMIAL, *(1 << n for n in range(31)))
    power = _times(_times(bit, bit), _times(bit, bit))  # four bits
    power = _times(power, power)  # a byte
    result = tuple(1 << n for n in range(32))
    while length:
        if length & 1:
            result = _times(power, result)
        power = _times(power, power)
        length >>= 1
    return result


def _times(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_apply(left, column) for column in right)


def _apply(matrix: tuple[int, ...], vector: int) -> int:
    total, place = 0, 0
    while vector:
        if vector & 1:
            total ^= matrix[place]
        vector >>= 1
        place += 1
    return total
