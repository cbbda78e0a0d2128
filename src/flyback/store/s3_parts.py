"""Large objects: up in parts, down in ranges, both at once in several threads and resumable.

Up: each part carries its CRC-32, which S3 checks, and the whole object's is given at the end. Parts
that an earlier attempt brought up are found by their checksum and not sent again.
Down: every range asks for the same ETag; the part file beside the target remembers in a journal
which ranges it holds, each with its checksum, and the whole is checked before it gets its name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.errors import AccessDeniedError, FlybackError, NotFoundError, ServiceError
from flyback.store.integrity import Expected, crc32, encoded, file_crc32, whole_crc32
from flyback.store.landing import landing, write_all
from flyback.store.meter import Meter
from flyback.store.retry import Retry
from flyback.store.s3_http import Stretch
from flyback.store.s3_operations import Operations, SentPart

__all__ = ["PART_BYTES", "Journal", "Parts", "cut"]

PART_BYTES = 8 << 20
_MOST_PARTS = 10_000


@dataclass(frozen=True)
class Piece:
    """A stretch of an object; numbers count from 1."""

    number: int
    start: int
    length: int


def cut(size: int, length: int = PART_BYTES) -> list[Piece]:
    """Pieces of a size in bytes: `length` each, or larger where there would be too many."""
    while -(-size // length) > _MOST_PARTS:
        length *= 2
    return [
        Piece(number, start, min(length, size - start))
        for number, start in enumerate(range(0, size, length), start=1)
    ]


class Journal:
    """Which pieces a part file holds: one line each, written after the bytes.

    Args:
        path: The journal.
        identity: Of the object's version; another one's journal counts for nothing.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity
        self._file: Any = None

    def read(self) -> dict[int, int]:
        """Piece → CRC-32; a last line that was cut off is left out."""
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return {}
        if lines[0] != self._identity:
            return {}
        found = {}
        for line in lines[1:-1]:
            with contextlib.suppress(ValueError):
                number, checksum = json.loads(line)
                found[int(number)] = int(checksum)
        return found

    def start(self, held: dict[int, int]) -> None:
        """Begin anew with what holds true."""
        lines = [self._identity, *(json.dumps(item) for item in held.items())]
        self._path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8", buffering=1)

    def note(self, number: int, checksum: int) -> None:
        """A piece is in the file."""
        self._file.write(json.dumps([number, checksum]) + "\n")

    def close(self, *, remove: bool) -> None:
        """Done with it."""
        if self._file is not None:
            self._file.close()
        if remove:
            self._path.unlink(missing_ok=True)


class Parts:
    """Moves large objects of one bucket.

    Args:
        operations: Requests to the bucket.
        bucket: Its name, for messages.
        executor: Threads that move pieces.
        retry: Of one piece.
    """

    def __init__(
        self, operations: Operations, bucket: str, executor: Executor, retry: Retry
    ) -> None:
        self._ask = operations
        self._bucket = bucket
        self._executor = executor
        self._retry = retry

    # ------------------------------------------------------------------------------------ up

    def upload(self, key: str, path: Path, meter: Meter) -> str:
        """Upload a file; its tag."""
        where = f"s3://{self._bucket}/{key}"
        with path.open("rb") as file:
            descriptor, before = file.fileno(), os.fstat(file.fileno())
            pieces = cut(before.st_size)
            upload_id, held = self._resumable(key, descriptor, pieces)
            if upload_id is None:
                upload_id = self._retry(lambda: self._ask.begin(key))

            def send(piece: Piece) -> SentPart:
                return self._send(key, upload_id, descriptor, piece, meter)

            missing = [piece for piece in pieces if piece.number not in held]
            for piece in pieces:
                if piece.number in held:
                    meter.add(piece.length)
            sent = self._each(send, missing)
            parts = {**held, **{p.number: s for p, s in zip(missing, sent, strict=True)}}
            after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            self._ask.abandon(key, upload_id)
            raise ServiceError("the file changed while it was read", where=f"{path} → {where}")
        return self._complete(key, upload_id, pieces, parts)

    def _send(
        self, key: str, upload_id: str, descriptor: int, piece: Piece, meter: Meter
    ) -> SentPart:
        meter.check()
        checksum = file_crc32(descriptor, piece.start, piece.length)
        body = Stretch(descriptor, piece.start, piece.length)
        tag = self._retry(lambda: self._ask.send(key, upload_id, piece.number, body, checksum))
        meter.add(piece.length)
        return tag, checksum

    def _complete(
        self, key: str, upload_id: str, pieces: Sequence[Piece], parts: dict[int, SentPart]
    ) -> str:
        whole = whole_crc32([(parts[piece.number][1], piece.length) for piece in pieces])
        size = sum(piece.length for piece in pieces)
        try:
            return self._ask.complete(key, upload_id, parts, (whole, size))
        except NotFoundError:
            raise
        except ServiceError as error:
            if error.code in ("InvalidPart", "BadDigest"):  # somebody else wrote to this upload
                self._ask.abandon(key, upload_id)
            raise

    def _resumable(
        self, key: str, descriptor: int, pieces: Sequence[Piece]
    ) -> tuple[str | None, dict[int, SentPart]]:
        """An earlier upload of this key, and the parts of it that are as the file is now.

        An identity that may not list uploads starts anew.
        """
        try:
            upload_id = self._ask.begun(key)
            if upload_id is None:
                return None, {}
            there = {p["PartNumber"]: p for p in self._ask.parts(key, upload_id)}
        except (AccessDeniedError, ServiceError):
            return None, {}
        held = {}
        for piece in pieces:
            part = there.get(piece.number)
            if part is None or part["Size"] != piece.length or not part.get("ChecksumCRC32"):
                continue
            checksum = file_crc32(descriptor, piece.start, piece.length)
            if encoded(checksum) == part["ChecksumCRC32"]:
                held[piece.number] = (str(part["ETag"]), checksum)
        return (upload_id, held) if held else (None, {})

    # ---------------------------------------------------------------------------------- down

    def download(self, key: str, target: Path, answer: dict[str, Any], meter: Meter) -> None:
        """Download an object to a file.

        Args:
            key: The object.
            target: The file.
            answer: Of GetObject or HeadObject with checksums.
            meter: Counts.
        """
        size, tag, expected = int(answer["ContentLength"]), str(answer["ETag"]), Expected(answer)
        pieces = cut(size, self._part_length(key, expected, size))
        with landing(target, keep=True) as (descriptor, part):
            identity = json.dumps([tag, size, pieces[0].length])
            journal = Journal(part.with_name(part.name + ".journal"), identity)
            held = _verified(descriptor, pieces, journal.read())
            journal.start(held)
            done = False
            try:
                os.ftruncate(descriptor, size)

                def fetch(piece: Piece) -> int:
                    checksum = self._fetch(key, tag, descriptor, piece, meter)
                    journal.note(piece.number, checksum)
                    return checksum

                for piece in pieces:
                    if piece.number in held:
                        meter.add(piece.length)
                missing = [piece for piece in pieces if piece.number not in held]
                fetched = self._each(fetch, missing)
                sums = {**held, **{p.number: s for p, s in zip(missing, fetched, strict=True)}}
                done = True
                self._check(key, expected, [(sums[p.number], p.length) for p in pieces])
            finally:
                journal.close(remove=done)

    def _check(self, key: str, expected: Expected, parts: Sequence[tuple[int, int]]) -> None:
        if not expected.accepts_parts(parts):
            raise ServiceError(
                "the object arrived damaged: its checksum is not the stored one",
                where=f"s3://{self._bucket}/{key}",
                remedy="repeat the download",
                code="BadDigest",
            )

    def _part_length(self, key: str, expected: Expected, size: int) -> int:
        """As the upload was cut, where the stored checksum is one of parts."""
        if expected.composite_parts is None:
            return PART_BYTES
        length = int(self._ask.head(key, part=1)["ContentLength"])
        return length if 0 < length < size else PART_BYTES

    def _fetch(self, key: str, tag: str, descriptor: int, piece: Piece, meter: Meter) -> int:
        def get() -> int:
            counted, checksum = 0, 0

            def take(data: memoryview, at: int) -> None:
                nonlocal counted, checksum
                write_all(descriptor, data, piece.start + at)
                checksum = crc32(data, checksum)
                counted += len(data)
                meter.add(len(data))

            try:
                self._ask.read(key, (piece.start, piece.length), tag, take)
            except BaseException:
                with contextlib.suppress(FlybackError):
                    meter.add(-counted)
                raise
            return checksum

        return self._retry(get)

    def _each(self, action: Callable[[Piece], Any], pieces: Sequence[Piece]) -> list[Any]:
        """The action on every piece; the first failure keeps those not begun from starting."""
        futures = [self._executor.submit(action, piece) for piece in pieces]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
            wait(futures)  # nobody writes to a descriptor that is closed after this
        return [future.result() for future in _failed_first(futures)]


def _failed_first(futures: list[Any]) -> Iterator[Any]:
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            raise future.exception()
    yield from futures


def _verified(descriptor: int, pieces: Sequence[Piece], noted: dict[int, int]) -> dict[int, int]:
    """What the journal says, where the bytes agree."""
    return {
        piece.number: noted[piece.number]
        for piece in pieces
        if piece.number in noted
        and file_crc32(descriptor, piece.start, piece.length) == noted[piece.number]
    }
