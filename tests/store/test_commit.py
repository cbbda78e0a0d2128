"""Many files that appear at once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import ConflictError, FlybackError, NotFoundError, ServiceError, UserError
from flyback.store.commit import MANIFEST, Commit, fetch, latest, manifest_of, prune
from flyback.store.memory import MemoryStore
from flyback.store.protocol import Store
from flyback.store.s3 import S3Store

FILES = {"model/shard-0": b"weights" * 1000, "model/shard-1": b"", "state.json": b"{}"}


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """Two kinds of store."""
    if request.param == "memory":
        return MemoryStore()
    opened: Callable[..., S3Store] = request.getfixturevalue("opened")
    return opened(quick=True)


def commit(store: Store, prefix: str, folder: Path, files: dict[str, bytes] | None = None) -> None:
    """Write files and commit them."""
    with Commit(store, prefix) as made:
        for name, data in (FILES if files is None else files).items():
            path = folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            made.add(name, path)


def break_off(store: Store, prefix: str, path: Path) -> None:
    """A writer that fails after its first file."""
    with Commit(store, prefix) as made:
        made.add("a", path)
        raise OSError("disk")


def test_a_commit_comes_back_whole(store: Store, tmp_path: Path) -> None:
    """Every file with its content; the folder appears once all of them are there."""
    commit(store, "ckpt/run/10", tmp_path)
    manifest = fetch(store, "ckpt/run/10", tmp_path / "restored")
    assert {name: entry.size for name, entry in manifest.files.items()} == {
        name: len(data) for name, data in FILES.items()
    }
    for name, data in FILES.items():
        assert (tmp_path / "restored" / name).read_bytes() == data


def test_nothing_is_committed_before_the_manifest(store: Store, tmp_path: Path) -> None:
    """What breaks off, at whatever file, leaves no commit, and the one before counts."""
    commit(store, "ckpt/9", tmp_path)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(OSError, match="disk"):
        break_off(store, "ckpt/10", path)
    with pytest.raises(NotFoundError):
        manifest_of(store, "ckpt/10")
    assert next(latest(store, "ckpt")) == "ckpt/9"
    with pytest.raises(FileNotFoundError), Commit(store, "ckpt/11") as made:
        made.add("gone", tmp_path / "gone")
    assert list(latest(store, "ckpt")) == ["ckpt/9"]


def test_latest_counts_as_numbers(store: Store, tmp_path: Path) -> None:
    """Step 10 comes after step 9, and pruning removes the oldest, manifests first."""
    for step in (1, 2, 9, 10):
        commit(store, f"ckpt/step-{step}", tmp_path, {"a": b"%d" % step})
    assert list(latest(store, "ckpt")) == [f"ckpt/step-{n}" for n in (10, 9, 2, 1)]
    assert prune(store, "ckpt", keep=2) == ["ckpt/step-2", "ckpt/step-1"]
    assert [item.key for item in store.list("ckpt/")] == [
        f"ckpt/step-{n}/{name}" for n in (10, 9) for name in ("a", MANIFEST)
    ]


def test_the_second_commit_of_a_name_is_refused(store: Store, tmp_path: Path) -> None:
    """Unless it is the same, whose answer was lost."""
    commit(store, "ckpt/1", tmp_path)
    commit(store, "ckpt/1", tmp_path)
    with pytest.raises(ConflictError):
        commit(store, "ckpt/1", tmp_path, {"other": b"x"})


def test_a_damaged_file_is_not_restored(store: Store, tmp_path: Path) -> None:
    """The manifest's checksum decides; an intact attempt afterwards takes over what was good."""
    commit(store, "ckpt/1", tmp_path)
    store.put("ckpt/1/state.json", b"[]")
    with pytest.raises(ServiceError, match="not what the manifest says"):
        fetch(store, "ckpt/1", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    store.put("ckpt/1/state.json", b"{}")
    fetch(store, "ckpt/1", tmp_path / "restored")
    with pytest.raises(UserError, match="exists"):
        fetch(store, "ckpt/1", tmp_path / "restored")


@pytest.mark.parametrize("name", ["../escape", "a//b", "/abs", MANIFEST])
def test_names_that_would_escape_are_refused(name: str, tmp_path: Path) -> None:
    """On the way in, and from a manifest that somebody else wrote."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    store = MemoryStore()
    with pytest.raises(UserError), Commit(store, "ckpt/1") as made:
        made.add(name, path)
    if name != MANIFEST:
        store.put(f"bad/{MANIFEST}", b'{"files":{"%s":{"size":1,"crc32":0}}}' % name.encode())
        with pytest.raises(FlybackError):
            fetch(store, "bad", tmp_path / "restored")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unreadable_manifest_is_none(store: Store) -> None:
    """A reader falls back to the commit before."""
    store.put(f"ckpt/1/{MANIFEST}", b"{torn")
    with pytest.raises(NotFoundError, match="no manifest"):
        manifest_of(store, "ckpt/1")


def test_files_travel_while_the_next_is_made(s3: Any, opened: Callable[..., S3Store]) -> None:
    """An added file is in the bucket before the block ends; the manifest is not."""
    import tempfile
    import threading

    arrived = threading.Event()
    s3.fault = lambda request: arrived.set() if request.method == "PUT" else None
    store = opened(quick=False)
    with tempfile.TemporaryDirectory() as folder, Commit(store, "ckpt/1") as made:
        path = Path(folder, "shard")
        path.write_bytes(b"x" * 1000)
        made.add("shard", path)
        assert arrived.wait(30)
        assert f"bucket/pre/fix/ckpt/1/{MANIFEST}" not in s3.objects
    assert manifest_of(store, "ckpt/1").files["shard"].size == 1000
