"""Whatever breaks in a transfer: no torn file has its final name, and the next attempt completes.

Each case syncs a few objects, small and large, through one fault, looks at what has a final name,
and syncs again without the fault.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import AccessDeniedError, FlybackError
from flyback.store.file import FileStore
from flyback.store.meter import Meter
from flyback.store.s3 import SMALL_BYTES, S3Store
from flyback.store.sync import plan_sync, run_sync

CHILD = Path(__file__).with_name("transfer_child.py")
SIZES = {"a/empty": 0, "a/one": 1, "b c/é": 50_000, "big": SMALL_BYTES * 2 + 333, "z": 400_000}
KILLS = 40


def contents(seed: int) -> dict[str, bytes]:
    """The objects of a case."""
    generator = random.Random(seed)
    return {key: generator.randbytes(size) for key, size in SIZES.items()}


@dataclass(frozen=True)
class Case:
    """One fault.

    Args:
        kind: What happens.
        up: Upload or download.
        quick: By the standard library or with boto3 alone.
        seed: Of where it happens.
    """

    kind: str
    up: bool
    quick: bool
    seed: int

    def __str__(self) -> str:
        way = "up" if self.up else "down"
        return f"{self.kind}-{way}-{'quick' if self.quick else 'boto3'}-{self.seed}"


KINDS = ("cut", "503", "slow-down", "500", "corrupt", "expired")
CASES = [
    Case(kind, up, quick, seed)
    for seed in range(6)
    for kind in KINDS
    for up in (False, True)
    for quick in (False, True)
]


def faults(case: Case, fault_type: Any) -> Callable[[Any], Any]:
    """Hits a third of the requests that move data, each object's twice at most."""
    generator = random.Random(case.seed)
    hit: dict[str, int] = {}

    def decide(request: Any) -> Any:
        moves = request.method == ("PUT" if case.up else "GET") and request.path.count("/") > 1
        name = request.path + str(request.query) + request.headers.get("range", "")
        if not moves or hit.get(name, 0) >= 2 or generator.random() > 0.4:
            return None
        hit[name] = hit.get(name, 0) + 1
        place = generator.randrange(1 << 23)
        if case.kind == "cut":
            most = int(request.headers.get("content-length", 1 << 20)) or 1
            cut = place % most if case.up else place % 400_000
            return fault_type(cut_request=cut) if case.up else fault_type(cut_response=cut)
        if case.kind == "corrupt":
            return fault_type(flip_request=place) if case.up else fault_type(flip=place)
        answers = {"503": (503, "ServiceUnavailable"), "500": (500, "InternalError")}
        return fault_type(answer=answers.get(case.kind, (503, "SlowDown")))

    return decide


def expiring(s3: Any, key: str, after: int) -> Callable[[Any], Any]:
    """Credentials that end in the middle."""
    counted = [0]

    def decide(request: Any) -> Any:
        del request
        counted[0] += 1
        if counted[0] == after:
            s3.expired.add(key)

    return decide


def torn(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """Names under which something else lies than belongs there."""
    return [key for key, data in found.items() if data != wanted.get(key)]


def files_of(root: Path) -> dict[str, bytes]:
    """What has a final name in a folder."""
    store = FileStore(root)
    return {item.key: store.get(item.key) for item in store.list()}


def objects_of(s3: Any) -> dict[str, bytes]:
    """What is in the bucket."""
    return {key.removeprefix("bucket/pre/fix/"): held.data for key, held in s3.objects.items()}


def lay_out(case: Case, s3: Any, folder: Path, opened: Callable[..., S3Store]) -> dict[str, bytes]:
    """The source of a case."""
    s3.clear()
    wanted = contents(case.seed)
    source = FileStore(folder) if case.up else opened(quick=False, key="laying-out")
    for key, data in wanted.items():
        if case.up:
            source.put(key, data)
        else:
            path = folder.with_name("source")
            path.write_bytes(data)
            source.put_file(key, path)
    return wanted


def run_case(
    case: Case, s3: Any, folder: Path, opened: Callable[..., S3Store], fault_type: Any
) -> list[str]:
    """Names of torn files after the fault and after the next attempt; empty is well."""
    s3.fault = lambda _: None
    wanted = lay_out(case, s3, folder, opened)
    key = f"key-{case}"
    if case.kind == "expired":
        s3.fault = expiring(s3, key, after=2 + case.seed % 4)
    else:
        s3.fault = faults(case, fault_type)
    first = attempt(case, folder, opened(quick=case.quick, key=key))
    if case.kind == "expired":
        assert isinstance(first, AccessDeniedError), f"{case}: {first!r}"
        assert "ExpiredToken" in str(first)
    look = (lambda: objects_of(s3)) if case.up else (lambda: files_of(folder))
    bad = torn(look(), wanted)
    s3.fault = lambda _: None
    again = attempt(case, folder, opened(quick=case.quick, key="fresh"))
    assert again is None, f"{case}: {again!r}"
    if look() != wanted:
        bad.append(f"{case}: not complete")
    return bad


def attempt(case: Case, folder: Path, bucket: S3Store) -> FlybackError | None:
    """One sync; the error that it ends with."""
    home = FileStore(folder)
    source, target = (home, bucket) if case.up else (bucket, home)
    try:
        run_sync(plan_sync(source, target), source, target, Meter(), threads=6)
    except FlybackError as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES[: len(KINDS) * 4], ids=str)
def test_a_fault_tears_nothing(
    case: Case, s3: Any, tmp_path: Path, opened: Callable[..., S3Store], fault_type: Any
) -> None:
    """Each kind of fault, both ways, with both clients."""
    assert run_case(case, s3, tmp_path / "home", opened, fault_type) == []


# ------------------------------------------------------------------ processes that are killed


def environment(url: str, root: Path) -> dict[str, str]:
    """Of a child that syncs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(root / "src"),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }


def spawn(url: str, *words: str) -> subprocess.Popen[str]:
    """A child that syncs; it has begun when this returns."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), *words],
        env=environment(url, Path(__file__).parents[2]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def killer(child: subprocess.Popen[str], requests: int) -> Callable[[Any], Any]:
    """Kills the child the moment that it makes its n-th request."""
    counted = [0]
    lock = threading.Lock()

    def decide(request: Any) -> Any:
        del request
        with lock:
            counted[0] += 1
            if counted[0] == requests:
                child.kill()

    return decide


def run_kill(number: int, *, up: bool, s3: Any, folder: Path, opened: Any) -> list[str]:
    """Kill a sync at its n-th request, look, and let another one end."""
    case = Case("kill", up, quick=False, seed=number)
    s3.fault = lambda _: None
    wanted = lay_out(case, s3, folder, opened)
    places = (str(folder), "s3://bucket/pre/fix")
    words = places if up else places[::-1]
    child = spawn(s3.url, *words)
    s3.fault = killer(child, number)
    child.communicate()
    look = (lambda: objects_of(s3)) if up else (lambda: files_of(folder))
    bad = torn(look(), wanted)
    s3.fault = lambda _: None
    again = spawn(s3.url, *words)
    _, errors = again.communicate()
    if again.returncode != 0 or look() != wanted:
        bad.append(f"kill {number}: {errors}")
    return bad


@pytest.mark.parametrize("up", [False, True])
def test_a_killed_client_tears_nothing(
    up: bool,  # noqa: FBT001  # pytest gives a case by its name
    s3: Any,
    tmp_path: Path,
    opened: Callable[..., S3Store],
) -> None:
    """Kill -9 while requests are under way; the next process completes."""
    assert run_kill(4, up=up, s3=s3, folder=tmp_path / "home", opened=opened) == []


def test_a_full_disk_tears_nothing(s3: Any, tmp_path: Path, opened: Callable[..., S3Store]) -> None:
    """The sync ends with a sentence, leaves no part of a file, and goes on where there is room."""
    assert run_full(0, s3, tmp_path / "home", opened) == []


def run_full(number: int, s3: Any, folder: Path, opened: Callable[..., S3Store]) -> list[str]:
    """A disk that takes no more than so many bytes of a file."""
    wanted = lay_out(Case("full", up=False, quick=False, seed=number), s3, folder, opened)
    limit = (10_000, 200_000, 3 << 20, 9 << 20)[number % 4]
    child = spawn(s3.url, "s3://bucket/pre/fix", str(folder), str(limit))
    _, errors = child.communicate()
    bad = torn(files_of(folder), wanted)
    if child.returncode != 4 or "File too large" not in errors:
        bad.append(f"full: {child.returncode} {errors}")
    again = spawn(s3.url, "s3://bucket/pre/fix", str(folder))
    _, errors = again.communicate()
    if again.returncode != 0 or files_of(folder) != wanted:
        bad.append(f"full: {errors}")
    return bad


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_clean(s3: Any, tmp_path: Path, opened: Callable[..., S3Store]) -> None:
    """An interrupt in the middle raises KeyboardInterrupt once all threads have ended."""
    import _thread

    case = Case("interrupt", up=False, quick=False, seed=0)
    wanted = lay_out(case, s3, tmp_path / "home", opened)
    counted = iter(range(1, 1000))

    def press(request: Any) -> None:
        del request
        if next(counted) == 3:
            _thread.interrupt_main()

    s3.fault = press
    with pytest.raises(KeyboardInterrupt):
        attempt(case, tmp_path / "home", opened(quick=False))
    assert [t for t in threading.enumerate() if t.name.startswith("flyback-move")] == []
    assert torn(files_of(tmp_path / "home"), wanted) == []
    s3.fault = lambda _: None
    assert attempt(case, tmp_path / "home", opened(quick=False)) is None
    assert files_of(tmp_path / "home") == wanted


# ------------------------------------------------------------------------------------- proofs


def all_runs(
    s3: Any, tmp_path: Path, opened: Callable[..., S3Store], fault_type: Any
) -> Iterator[Callable[[], Sequence[str]]]:
    """Every case of the proof."""
    folders = (tmp_path / f"home-{number}" for number in range(10_000))
    for case in CASES:
        yield lambda case=case: run_case(case, s3, next(folders), opened, fault_type)
    for number in range(1, KILLS // 2 + 1):
        for up in (False, True):
            yield lambda n=number, up=up: run_kill(
                n, up=up, s3=s3, folder=next(folders), opened=opened
            )
    for number in range(8):
        yield lambda n=number: run_full(n, s3, next(folders), opened)


@pytest.mark.unsettled  # credentials that expire at a HEAD (400, no body) end as ServiceError
@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_proof_store_faults(
    s3: Any,
    tmp_path: Path,
    opened: Callable[..., S3Store],
    fault_type: Any,
    sweep: Callable[[Sequence[Any]], list[Any]],
) -> None:
    """Cuts, overload, corruption, expiry, full disks and kills: nothing torn, all complete."""
    runs = sweep(list(all_runs(s3, tmp_path, opened, fault_type)))
    bad = [name for run in runs for name in run()]
    print(f"PROOF store-faults cases={len(runs)} torn={len(bad)}")
    assert bad == []


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_proof_store_exits(
    s3: Any, tmp_path: Path, sweep: Callable[[Sequence[Any]], list[Any]]
) -> None:
    """Short upload processes in a row, each with all its objects in place and exit code 0."""
    home = FileStore(tmp_path / "home")
    for number in range(40):
        home.put(f"{number}", b"x" * 1000)
    failed = 0
    runs = sweep(range(200))
    for _ in runs:
        s3.clear()
        child = spawn(s3.url, str(home.root), "s3://bucket/exits")
        said, _ = child.communicate()
        failed += child.returncode != 0 or said != "copied 40\n" or len(s3.objects) != 40
    print(f"PROOF store-exits runs={len(runs)} failed={failed}")
    assert failed == 0
