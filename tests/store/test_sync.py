"""`flyback sync`, and the arithmetic below it."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.cli.main import main
from flyback.errors import InterruptedRunError, UserError
from flyback.store.integrity import combine
from flyback.store.meter import Meter, Progress, told
from flyback.store.sync import sync


def lay(folder: Path, files: dict[str, bytes]) -> str:
    """Files in a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)


def test_a_folder_becomes_like_another(tmp_path: Path) -> None:
    """Copies what is missing or changed, leaves what is the same, deletes only when told."""
    source = lay(tmp_path / "a", {"x": b"1", "é/y z": b"22"})
    target = lay(tmp_path / "b", {"old": b"3"})
    assert len(sync(source, target, dry_run=True).copies) == 2
    assert not (tmp_path / "b" / "x").exists()
    sync(source, target)
    assert (tmp_path / "b" / "é" / "y z").read_bytes() == b"22"
    again = sync(source, target, delete=True)
    assert (again.copies, again.deletes, again.unchanged) == ((), ("old",), 2)
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["x", "é"]


def test_checksum_sees_what_times_hide(tmp_path: Path) -> None:
    """Same size and a newer time, another content: only `checksum` copies it."""
    source = lay(tmp_path / "a", {"x": b"new"})
    target = lay(tmp_path / "b", {"x": b"odd"})
    os.utime(tmp_path / "a" / "x", (1e9, 1e9))
    assert sync(source, target).unchanged == 1
    assert len(sync(source, target, checksum=True).copies) == 1
    assert (tmp_path / "b" / "x").read_bytes() == b"new"


def test_an_empty_source_empties_nothing(tmp_path: Path) -> None:
    """A wrong path and --delete together are a mistake, not an order."""
    target = lay(tmp_path / "b", {"x": b"1"})
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="would empty the target"):
        sync(str(tmp_path / "a"), target, delete=True)
    with pytest.raises(UserError, match="no such folder"):
        sync(str(tmp_path / "none"), target)


def test_the_verb_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with files, bytes and time; exit code 0."""
    source = lay(tmp_path / "a", {"x": b"1" * 1000})
    with pytest.raises(SystemExit) as ended:
        main(["sync", source, str(tmp_path / "b")])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("copied 1 files, 0.0 MB; 0 deleted, 0 unchanged;")


def test_progress_has_rate_and_time_left() -> None:
    """Half of 100 MB at 10 MB/s leaves five seconds."""
    text = told(Progress(50_000_000, 100_000_000, 1, 2, 10e6, 5.0))
    assert text == "1 of 2 files, 50.0 of 100.0 MB, 10.0 MB/s, 0:05 left"


def test_a_halted_meter_ends_who_counts() -> None:
    """Every thread stops at its next piece."""
    meter = Meter()
    meter.halt()
    with pytest.raises(InterruptedRunError):
        meter.add(1)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_checksums_of_parts_make_the_whole(first: bytes, second: bytes) -> None:
    """CRC-32 of two stretches is that of their concatenation."""
    joined = combine(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)
