"""The working directory travels as one archive."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from flyback.errors import UserError
from flyback.launch.archive import Archive, pack


def _names(archive: Archive | None) -> list[str]:
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive.data)) as tar:
        return tar.getnames()


def test_equal_folders_hash_equal(tmp_path: Path) -> None:
    """Who owns the files and when they were touched does not change the hash; content does."""
    hashes = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "sub dir").mkdir(parents=True)
        (folder / "sub dir" / "a'b;c.py").write_text("print(1)\n")
        (folder / "run.sh").write_text("true\n")
        (folder / "run.sh").chmod(0o755)
        archive = pack(folder, {})
        assert archive is not None
        hashes.append(archive.sha256)
        os.utime(folder / "run.sh", (1, 1))
    assert hashes[0] == hashes[1]
    (tmp_path / "two" / "run.sh").write_text("false\n")
    changed = pack(tmp_path / "two", {})
    assert changed is not None
    assert changed.sha256 != hashes[0]


def test_what_git_ignores_stays_at_home(tmp_path: Path) -> None:
    """In a git checkout, ignored files and .git are left out, untracked ones taken along."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("data/\n*.bin\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "big.csv").write_text("1")
    (tmp_path / "weights.bin").write_text("2")
    (tmp_path / "train.py").write_text("3")
    assert _names(pack(tmp_path, {})) == [".gitignore", "train.py"]


def test_inputs_travel_beside_the_folder(tmp_path: Path) -> None:
    """Single files and folders are added under the paths that the job gives them."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.py").write_text("a")
    (tmp_path / "take.wav").write_bytes(b"RIFF")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x.txt").write_text("x")
    archive = pack(
        tmp_path / "work", {"data/t.wav": tmp_path / "take.wav", "more": tmp_path / "more"}
    )
    assert _names(archive) == ["a.py", "data/t.wav", "more/x.txt"]


def test_nothing_to_take_is_no_archive() -> None:
    """A job without files sends none."""
    assert pack(None, {}) is None


def test_a_file_that_vanishes_is_the_users_mistake(tmp_path: Path) -> None:
    """A missing input is named, with exit code 2."""
    with pytest.raises(UserError, match=r"take\.wav"):
        pack(None, {"t.wav": tmp_path / "take.wav"})
