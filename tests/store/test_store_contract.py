"""Every store keeps the same promises."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from flyback.errors import ConflictError, NotFoundError, ServiceError, UserError
from flyback.store.file import FileStore
from flyback.store.memory import MemoryStore
from flyback.store.open import open_store
from flyback.store.protocol import Store
from flyback.store.s3 import S3Store


@pytest.fixture(params=["file", "memory", "s3", "s3-prefix", "strict", "strict-quick"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One store of each kind; the strict ones are on an S3 that checks what it is told."""
    if request.param.startswith("strict"):
        opened = request.getfixturevalue("opened")
        yield opened(quick=request.param == "strict-quick")
    elif request.param == "file":
        yield FileStore(tmp_path / "store")
    elif request.param == "memory":
        yield MemoryStore()
    else:
        with mock_aws():
            client = boto3.client(
                "s3",
                region_name="us-east-1",
                aws_access_key_id="k",
                aws_secret_access_key="s",
            )
            client.create_bucket(Bucket="bucket")
            yield S3Store(
                "bucket", prefix="a/b" if request.param == "s3-prefix" else "", client=client
            )


def test_what_is_put_is_got(store: Store) -> None:
    """An object comes back byte for byte, and a second put replaces it."""
    store.put("runs/x/a.json", b"\x00one")
    store.put("runs/x/a.json", b"two")
    assert store.get("runs/x/a.json") == b"two"


def test_what_is_deleted_is_gone(store: Store) -> None:
    """A deleted object can't be read, is not listed, and may be deleted again."""
    store.put("active/x.json", b"{}")
    store.delete("active/x.json")
    store.delete("active/x.json")
    assert list(store.list("active/")) == []
    with pytest.raises(NotFoundError):
        store.get("active/x.json")


def test_files_travel_both_ways(store: Store, tmp_path: Path) -> None:
    """A file uploaded comes down the same, under a folder that did not exist."""
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)) * 1000)
    store.put_file("deep/er/file.bin", source)
    target = tmp_path / "new" / "folder" / "file.bin"
    store.get_file("deep/er/file.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_large_files_travel_both_ways(store: Store, tmp_path: Path) -> None:
    """A file of several parts comes down the same, from an S3 that knows no checksums as well."""
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(bytes(range(256)) * 80_000)
    store.put_file("large", source)
    store.get_file("large", target)
    assert target.read_bytes() == source.read_bytes()
    assert store.stat("large").size == source.stat().st_size


def test_if_absent_is_refused_for_what_exists(store: Store) -> None:
    """A marker is written once: the second writer is told, and the first content stays."""
    store.put("marker.json", b"first", if_absent=True)
    with pytest.raises(ConflictError):
        store.put("marker.json", b"second", if_absent=True)
    assert store.get("marker.json") == b"first"


def test_what_is_not_there_is_said_so(store: Store, tmp_path: Path) -> None:
    """A missing key is NotFoundError for bytes and files alike, and leaves no file."""
    with pytest.raises(NotFoundError):
        store.get("nothing")
    with pytest.raises(NotFoundError):
        store.get_file("nothing", tmp_path / "x" / "y")
    assert not (tmp_path / "x" / "y").exists()


def test_listing_is_by_prefix_in_key_order(store: Store) -> None:
    """List gives every key under a prefix with its size, sorted."""
    for key in ("b/2", "a/1", "a/10", "a/b/c", "ab"):
        store.put(key, key.encode())
    assert [(item.key, item.size) for item in store.list("a/")] == [
        ("a/1", 3),
        ("a/10", 4),
        ("a/b/c", 5),
    ]
    assert [item.key for item in store.list()] == ["a/1", "a/10", "a/b/c", "ab", "b/2"]


def test_compare_and_swap(store: Store) -> None:
    """A write over a stale tag is refused; over the current one it succeeds and changes the tag."""
    first = store.put("pointer", b"1")
    assert store.stat("pointer").tag == first
    second = store.put("pointer", b"2", if_tag=first)
    assert second != first
    with pytest.raises(ConflictError):
        store.put("pointer", b"3", if_tag=first)
    assert store.get("pointer") == b"2"


def test_ranges(store: Store) -> None:
    """A range is cut at the object's end, and refused once the object is another one."""
    tag = store.put("object", b"0123456789")
    assert store.get_range("object", 2, 3) == b"234"
    assert store.get_range("object", 8, 5, tag=tag) == b"89"
    assert store.get_range("object", 10, 5) == b""
    assert store.get_range("object", 3, 0) == b""
    store.put("object", b"another one")
    with pytest.raises(ConflictError):
        store.get_range("object", 0, 2, tag=tag)
    with pytest.raises(NotFoundError):
        store.get_range("nothing", 0, 2)


def test_stat_and_delete(store: Store) -> None:
    """Stat tells what a listing tells; a deleted object is gone, twice deleted is no error."""
    tag = store.put("folder/object", b"abc")
    found = store.stat("folder/object")
    assert (found.key, found.size, found.tag) == ("folder/object", 3, tag)
    assert found.modified > 1e9
    assert [item.key for item in store.list("folder/")] == ["folder/object"]
    store.delete("folder/object")
    store.delete("folder/object")
    with pytest.raises(NotFoundError):
        store.stat("folder/object")
    assert list(store.list()) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    objects=st.dictionaries(
        st.text(string.ascii_letters + " é%+&'", min_size=1, max_size=12).filter(str.strip),
        st.binary(max_size=64),
        max_size=8,
    )
)
def test_a_folder_holds_what_was_put(objects: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever is put under whatever name lists and reads back, from a file store."""
    store = FileStore(tmp_path / str(abs(hash(frozenset(objects)))))
    for key, data in objects.items():
        store.put(key, data)
    assert {item.key: store.get(item.key) for item in store.list()} == objects


@pytest.mark.parametrize("key", ["../escape", "a/../../escape", "folder/"])
def test_keys_stay_in_their_folder(key: str, tmp_path: Path) -> None:
    """A key that leads out of the store's folder is refused before anything is written."""
    store = FileStore(tmp_path / "store")
    with pytest.raises(UserError, match="leaves its folder"):
        store.put(key, b"x")
    assert not (tmp_path / "escape").exists()


def test_a_full_disk_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails, the error says where, the old object stays and no part is left."""
    store = FileStore(tmp_path)
    store.put("a", b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ServiceError, match="No space left"):
        store.put("a", b"new")
    monkeypatch.undo()
    assert store.get("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_urls_choose_the_store(tmp_path: Path) -> None:
    """`open_store` reads the scheme; an unknown one is the user's mistake."""
    assert open_store((tmp_path / "a b").as_uri()).url == (tmp_path / "a b").as_uri()
    assert open_store("memory://m") is open_store("memory://m")
    with pytest.raises(UserError, match="is no store"):
        open_store("ftp://host/x")
    for nameless in ("s3://", "s3:///x", "s3://my bucket/x", "s3://a:b"):
        with pytest.raises(UserError, match="names no bucket"):
            open_store(nameless)
