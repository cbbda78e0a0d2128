"""The store in a bucket: many objects, large ones, and keys of every kind."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import s3_simulator

from flyback.errors import ConflictError, NotFoundError, UserError
from flyback.store.budget import Budget
from flyback.store.file import FileStore
from flyback.store.landing import part_of
from flyback.store.meter import Meter
from flyback.store.s3 import SMALL_BYTES, S3Store
from flyback.store.sync import plan_sync, run_sync

LARGE = 3 * SMALL_BYTES + 12_345


def content(size: int, seed: int = 0) -> bytes:
    """Repeatable bytes."""
    return random.Random(seed).randbytes(size)


def test_2500_objects_over_several_pages(
    opened: Callable[..., S3Store], tmp_path: Path, s3: Any
) -> None:
    """Every object of a listing of three pages comes down, with both clients' listings equal."""
    bucket = opened(quick=True)
    for number in range(2500):
        s3.objects[f"bucket/pre/fix/{number % 7}/{number:05}"] = stored(b"%d" % number)
    home = FileStore(tmp_path / "home")
    plan = plan_sync(bucket, home)
    run_sync(plan, bucket, home, Meter(), threads=16)
    assert len(plan.copies) == 2500
    assert {item.key for item in home.list()} == {item.key for item in bucket.list()}
    assert list(opened(quick=False).list()) == list(bucket.list())
    assert all(home.get(f"{n % 7}/{n:05}") == b"%d" % n for n in range(0, 2500, 97))
    assert plan_sync(bucket, home).unchanged == 2500


def stored(data: bytes) -> Any:
    """An object as somebody else's tool put it there, without checksums."""
    tag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return s3_simulator.Stored(data, f'"{tag}"')


KEYS = [
    "plain",
    "with spaces and + and %20 and %",
    "unicode/é/字/🙂/e\u0301",
    "double//slash",
    "dots/../and/./more",
    "/leading",
    "trailing/",
    "quo'te\"s&<>;?#[]{}|^~`\\",
    "k" * 200 + "/" + "é" * 100,
    "/".join(["long" * 20] * 12)[:1015],
]


@pytest.mark.parametrize("key", KEYS)
def test_any_key_is_an_object(key: str, bucket: S3Store) -> None:
    """Whatever S3 takes as a key is written, read, told and listed under exactly that key."""
    assert len(("pre/fix/" + key).encode()) <= 1024
    bucket.put(key, b"content of " + key.encode())
    bucket.put("zzz", b"another")
    assert bucket.get(key) == b"content of " + key.encode()
    assert bucket.stat(key).size == 11 + len(key.encode())
    assert sorted(item.key for item in bucket.list()) == sorted([key, "zzz"])
    bucket.delete(key)
    with pytest.raises(NotFoundError):
        bucket.get(key)


def test_a_key_has_1024_bytes_at_most(bucket: S3Store) -> None:
    """What S3 would refuse is refused here, in words."""
    bucket.put("é" * 508, b"x")  # with the prefix, 1,024 bytes
    with pytest.raises(UserError, match="1024 bytes, not 1026"):
        bucket.put("é" * 509, b"x")


@pytest.mark.parametrize("key", ["../escape", "a/../../escape", "double//slash", "/etc/x", "a/./b"])
def test_keys_that_would_escape_are_refused(key: str, bucket: S3Store, tmp_path: Path) -> None:
    """A sync into a folder stops before it writes anything, and names the key."""
    bucket.put("good", b"x")
    bucket.put(key, b"evil")
    with pytest.raises(UserError, match="leaves its folder or names no file"):
        plan_sync(bucket, FileStore(tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []


def test_links_do_not_lead_out(bucket: S3Store, tmp_path: Path) -> None:
    """A link to elsewhere inside the target is no way out of it."""
    home = FileStore(tmp_path / "home")
    home.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home.root / "link").symlink_to(tmp_path / "elsewhere")
    bucket.put("link/file", b"evil")
    with pytest.raises(UserError, match="through a link"):
        plan_sync(bucket, home)


def test_a_large_object_travels_in_parts_both_ways(
    bucket: S3Store, s3: Any, tmp_path: Path
) -> None:
    """Parts up with a checksum of the whole, ranges down; the bytes and the meter agree."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content(LARGE))
    bucket.put_file("large", source)
    held = s3.objects["bucket/pre/fix/large"]
    assert held.checksums["x-amz-checksum-type"] == "FULL_OBJECT"
    assert held.etag.endswith('-4"')
    bucket.meter = Meter()
    bucket.get_file("large", target)
    assert target.read_bytes() == source.read_bytes()
    assert bucket.meter.progress().done == LARGE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    assert bucket.get("large") == source.read_bytes()


@pytest.mark.parametrize("again", ["another process", "a machine, which may not list"])
def test_an_upload_goes_on_where_it_was_killed(
    again: str,
    bucket: S3Store,
    s3: Any,
    tmp_path: Path,
    fault_type: Any,
    opened: Callable[..., S3Store],
) -> None:
    """Parts that are there, and are what the file holds now, are not sent again.

    Another process asks S3 for them. A machine may not; it remembers those that it sent itself.
    """
    source = tmp_path / "source"
    source.write_bytes(content(LARGE))
    s3.fault = lambda r: (
        fault_type(answer=(403, "AccessDenied")) if r.query.get("partNumber") == "3" else None
    )
    with pytest.raises(Exception, match="AccessDenied"):
        bucket.put_file("large", source)
    assert "bucket/pre/fix/large" not in s3.objects
    sent: list[str] = []

    def note(request: Any) -> Any:
        if "partNumber" in request.query and request.method == "PUT":
            sent.append(request.query["partNumber"])
        if again != "another process" and request.method == "GET":
            return fault_type(answer=(403, "AccessDenied"))
        return None

    kept = {number for upload in s3.uploads.values() for number in upload.parts}
    assert kept
    s3.fault = note
    if again == "another process":
        bucket = opened(quick=bucket._operations.http() is not None)
    bucket.put_file("large", source)
    assert {int(number) for number in sent} == {1, 2, 3, 4} - kept
    assert s3.objects["bucket/pre/fix/large"].data == source.read_bytes()
    assert s3.uploads == {}


def test_a_download_goes_on_where_it_was_killed(
    bucket: S3Store, s3: Any, tmp_path: Path, fault_type: Any
) -> None:
    """Ranges that are there, and are whole, are not fetched again; a damaged one is."""
    data = content(LARGE)
    (tmp_path / "source").write_bytes(data)
    bucket.put_file("large", tmp_path / "source")
    third = f"bytes={2 * SMALL_BYTES}-{3 * SMALL_BYTES - 1}"
    s3.fault = lambda r: (
        fault_type(answer=(403, "AccessDenied")) if r.headers.get("range") == third else None
    )
    target = tmp_path / "target"
    with pytest.raises(Exception, match="AccessDenied"):
        bucket.get_file("large", target)
    assert not target.exists()
    journal = part_of(target).with_name(part_of(target).name + ".journal")
    held = [line for line in journal.read_text().splitlines()[1:] if line]
    assert held
    number = int(held[0].strip("[").split(",")[0])
    with part_of(target).open("r+b") as file:
        file.seek((number - 1) * SMALL_BYTES + 5)
        file.write(b"damaged")
    ranges: list[str] = []
    s3.fault = lambda r: ranges.append(r.headers["range"]) if "range" in r.headers else None
    bucket.get_file("large", target)
    assert target.read_bytes() == data
    assert len(ranges) == 4 - len(held) + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_an_object_that_changes_under_a_download_is_not_mixed(
    bucket: S3Store, s3: Any, tmp_path: Path
) -> None:
    """Every range holds on to the version that the first answer told."""
    (tmp_path / "source").write_bytes(content(LARGE))
    bucket.put_file("large", tmp_path / "source")
    other = stored(content(LARGE, seed=1))

    def swap(request: Any) -> None:
        if request.headers.get("range", "").startswith("bytes=0-"):
            s3.objects["bucket/pre/fix/large"] = other

    s3.fault = swap
    with pytest.raises(ConflictError):
        bucket.get_file("large", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    s3.fault = lambda _: None
    bucket.get_file("large", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == other.data


def test_composite_checksums_of_other_tools_are_checked(
    opened: Callable[..., S3Store], s3: Any, tmp_path: Path
) -> None:
    """An object whose checksum is one of parts is cut as its upload was, and checked so."""
    bucket = opened(quick=False, prefix="")
    parts = [content(5 << 20, seed=n) for n in range(2)] + [content(77, seed=2)]
    upload = s3_simulator.Upload("bucket/made", {}, full=False)
    stored_parts = [
        s3_simulator.Stored(p, "", {"x-amz-checksum-crc32": s3_simulator._crc32(p)}) for p in parts
    ]
    data = b"".join(parts)
    sums = s3_simulator._whole(upload, stored_parts, data)
    s3.objects["bucket/made"] = s3_simulator.Stored(data, '"abc-3"', sums)
    bucket.get_file("made", tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == data


def test_memory_is_bounded_by_the_budget() -> None:
    """However many threads ask, no more bytes are held than the budget says."""
    budget = Budget(100)
    with budget.hold(60), budget.hold(40):
        assert budget._free == 0
    with budget.hold(1000):
        assert budget._free == 0
    assert budget._free == 100
