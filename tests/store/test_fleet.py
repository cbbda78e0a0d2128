"""Many small objects by one thread: quick where all goes well, and never wrong where not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import InterruptedRunError
from flyback.store import flush
from flyback.store.file import FileStore
from flyback.store.flush import Flusher
from flyback.store.meter import Meter, Progress
from flyback.store.s3 import S3Store
from flyback.store.sync import plan_sync, run_sync

COUNT = 150


@pytest.fixture
def home(tmp_path: Path) -> FileStore:
    """A folder of small files of many sizes."""
    store = FileStore(tmp_path / "home")
    for number in range(COUNT):
        store.put(f"{number % 3}/{number}", bytes([number % 256]) * (number * 1997 % 300_000))
    return store


def contents(store: FileStore) -> dict[str, bytes]:
    """What is there."""
    return {item.key: store.get(item.key) for item in store.list()}


def moved(source: Any, target: Any) -> Progress:
    """Sync; how far the meter came."""
    meter = Meter()
    run_sync(plan_sync(source, target), source, target, meter)
    return meter.progress()


def there_and_back(home: FileStore, bucket: S3Store, folder: Path) -> None:
    """Up, down into another folder, and compared."""
    wanted = contents(home)
    size = sum(len(data) for data in wanted.values())
    up = moved(home, bucket)
    assert (up.files, up.done, up.total) == (COUNT, size, size)
    back = FileStore(folder)
    down = moved(bucket, back)
    assert (down.files, down.done, down.total) == (COUNT, size, size)
    assert contents(back) == wanted


def test_one_thread_and_few_connections_move_all(
    home: FileStore, tmp_path: Path, s3: Any, opened: Callable[..., S3Store]
) -> None:
    """There and back, with 64 connections at most and no thread for each."""
    most = [0]

    def count(request: Any) -> None:
        del request
        names = [thread.name for thread in threading.enumerate()]
        most[0] = max(most[0], sum(name.startswith("flyback-move") for name in names))

    s3.fault = count
    there_and_back(home, opened(), tmp_path / "back")
    assert most[0] == 1
    assert s3.requests["GET"] == COUNT + 2  # and listings before each way
    assert s3.requests["PUT"] == COUNT


def test_it_goes_over_tls_and_knows_the_authority(
    home: FileStore,
    tmp_path: Path,
    secure: str,
    certificates: Path,
    opened: Callable[..., S3Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Certificates are checked against the configured authority, on every connection."""
    bucket = opened()
    monkeypatch.setenv("AWS_ENDPOINT_URL", secure)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
    trusting = S3Store("bucket", prefix="pre/fix", retry=bucket._retry)
    there_and_back(home, trusting, tmp_path / "back")
    assert trusting._operations.http() is not None


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (500, "InternalError")])
def test_what_is_refused_goes_the_patient_way(
    answer: tuple[int, str],
    home: FileStore,
    tmp_path: Path,
    s3: Any,
    fault_type: Any,
    opened: Callable[..., S3Store],
) -> None:
    """Every tenth request is refused; all arrive."""
    lock, counted = threading.Lock(), [0]

    def decide(request: Any) -> Any:
        if request.path.count("/") < 2:
            return None
        with lock:
            counted[0] += 1
            return fault_type(answer=answer) if counted[0] % 10 == 0 else None

    s3.fault = decide
    there_and_back(home, opened(), tmp_path / "back")


@pytest.mark.parametrize("fault", [{"flip": 3}, {"cut_response": 5}, {"answer": (301, "Moved")}])
def test_a_bad_start_is_no_end(
    fault: dict[str, Any],
    home: FileStore,
    tmp_path: Path,
    s3: Any,
    fault_type: Any,
    opened: Callable[..., S3Store],
) -> None:
    """Damage, cuts and redirects of the first fifty answers: nothing wrong gets a name."""
    bucket = opened()
    moved(home, bucket)
    counted = iter(range(10_000))
    s3.fault = lambda r: (
        fault_type(**fault) if r.path.count("/") > 1 and next(counted) < 50 else None
    )
    back = FileStore(tmp_path / "back")
    moved(bucket, back)
    assert contents(back) == contents(home)


def test_overload_takes_connections_away(
    home: FileStore, s3: Any, fault_type: Any, opened: Callable[..., S3Store]
) -> None:
    """S3 that only says 503 is not asked by 64 connections again and again."""
    wanted = len(contents(home))
    refused = [0]

    def decide(request: Any) -> Any:
        if request.method != "PUT" or refused[0] >= 100:
            return None
        refused[0] += 1
        return fault_type(answer=(503, "SlowDown"))

    s3.fault = decide
    bucket = opened()
    small = bucket.small()
    assert small is not None
    items = list(home.list())
    left = small.up(items, home.path)
    assert len(left) == wanted  # it gave up early
    assert 8 < s3.requests["PUT"] <= 64 + 8


def test_files_that_change_meanwhile_are_left(
    home: FileStore, opened: Callable[..., S3Store]
) -> None:
    """One vanished, one is no longer small: the patient way says what is wrong, or moves it."""
    small = opened().small()
    assert small is not None
    items = list(home.list())
    home.delete(items[3].key)
    home.put(items[4].key, b"x" * (9 << 20))
    assert {item.key for item in small.up(items, home.path)} == {items[3].key, items[4].key}


def test_a_halted_meter_ends_it(
    home: FileStore, s3: Any, tmp_path: Path, opened: Callable[..., S3Store]
) -> None:
    """In the middle: what has arrived has its name, and no part of a file is left."""
    bucket = opened()
    moved(home, bucket)
    small, back, meter = bucket.small(), FileStore(tmp_path / "back"), Meter()
    assert small is not None
    small._meter = meter
    counted = iter(range(10_000))
    s3.fault = lambda _: meter.halt() if next(counted) == 100 else None
    with pytest.raises(InterruptedRunError):
        small.down(list(bucket.list()), back.path)
    wanted = contents(home)
    assert all(wanted[key] == data for key, data in contents(back).items())
    assert list(back.root.rglob(".flyback-part-*")) == []


# ------------------------------------------------------------------------------------ flushing


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Open files with something in them."""
    opened = []
    for number in range(20):
        descriptor = os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT)
        os.write(descriptor, b"data")
        opened.append(descriptor)
    yield opened
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("whole", [True, False])
def test_everything_is_flushed_by_the_end(
    whole: bool,  # noqa: FBT001  # pytest gives a case by its name
    files: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By one system call for all, and one by one where there is none, or where it fails."""
    if not whole:
        monkeypatch.setattr(flush, "_syncfs", lambda: lambda descriptor: -1)  # noqa: ARG005  # fails
    flusher = Flusher[int](lambda descriptor: descriptor)
    for descriptor in files:
        flusher.take(descriptor)
    flusher.close()
    assert sorted(flusher.flushed()) == [(descriptor, None) for descriptor in files]
    assert flusher.flushed() == []


def test_who_cannot_be_flushed_is_told(files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails for one file: the others are well."""

    def fsync(descriptor: int) -> None:
        if descriptor == files[7]:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(flush, "_syncfs", lambda: None)
    monkeypatch.setattr(os, "fsync", fsync)
    flusher = Flusher[int](lambda descriptor: descriptor)
    for descriptor in files:
        flusher.take(descriptor)
    flusher.close()
    wrong = [descriptor for descriptor, error in flusher.flushed() if error is not None]
    assert wrong == [files[7]]


def test_few_files_are_open_while_the_disk_is_slow(
    files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever brings more waits until the disk has caught up."""
    monkeypatch.setattr(flush, "_MOST_OPEN", 4)
    go, arrived = threading.Event(), []
    monkeypatch.setattr(flush, "_syncfs", lambda: lambda _: int(not go.wait(30)))
    flusher = Flusher[int](lambda descriptor: descriptor)

    def bring() -> None:
        for descriptor in files:
            flusher.take(descriptor)
            arrived.append(descriptor)
            if len(arrived) == 4:
                four.set()

    four = threading.Event()
    bringer = threading.Thread(target=bring)
    bringer.start()
    assert four.wait(30)
    assert len(arrived) == 4
    go.set()
    bringer.join()
    flusher.close()
    assert len(flusher.flushed()) == len(files)
