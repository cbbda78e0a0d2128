"""The working directory as one archive: what git would ignore stays, equal folders hash equal."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from flyback.errors import UserError

__all__ = ["Archive", "pack"]

_MOST_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file in memory and its SHA-256."""

    data: bytes
    sha256: str
    files: int


def pack(folder: Path | None, extra: Mapping[str, Path]) -> Archive | None:
    """Pack a folder and single files beside it; None where there is neither.

    Files that git ignores stay at home where the folder is in a git checkout; `.git` always does.

    Args:
        folder: The working directory, or None.
        extra: Path in the archive → file or folder on this machine.

    Raises:
        UserError: there are more than 2 GiB, or a file can't be read.
    """
    files = _gather(folder, extra)
    if not files and folder is None:
        return None
    try:
        size = sum(path.lstat().st_size for path in files.values())
        return _archive(files) if size <= _MOST_BYTES else _refuse(size, len(files), folder)
    except OSError as error:
        raise UserError(
            f"{error}", where="workdir", remedy="mend the file, or list it in .gitignore"
        ) from error


def _refuse(size: int, files: int, folder: Path | None) -> NoReturn:
    raise UserError(
        f"{size / 2**30:.1f} GiB in {files} files; the limit is 2 GiB",
        where=f"workdir {folder}",
        remedy="list data in .gitignore and bring it through `inputs` from S3",
    )


def _gather(folder: Path | None, extra: Mapping[str, Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    if folder is not None:
        files.update({name: folder / name for name in _listed_by_git(folder) or _walk(folder)})
    for name, path in extra.items():
        if path.is_dir():
            files.update({f"{name}/{inner}": path / inner for inner in _walk(path)})
        else:
            files[name] = path
    return files


def _archive(files: Mapping[str, Path]) -> Archive:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            tar.add(files[name], arcname=name, recursive=False, filter=_anonymous)
    data = buffer.getvalue()
    return Archive(data, hashlib.sha256(data).hexdigest(), len(files))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who owns a file and when it was touched is no part of its content."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _listed_by_git(folder: Path) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-z", "-co", "--exclude-standard", "--", "."]
    try:
        answer = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    names = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [name for name in names if name and _is_packed(folder / name)]


def _walk(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if _is_packed(path) and ".git" not in path.relative_to(folder).parts
    ]


def _is_packed(path: Path) -> bool:
    return path.is_file() or path.is_symlink()
