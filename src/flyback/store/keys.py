"""Keys that can be the names of files, and those that would escape."""

from __future__ import annotations

from pathlib import Path

from flyback.errors import UserError

__all__ = ["MOST_BYTES", "check_key", "file_of"]

MOST_BYTES = 1024
"""UTF-8 bytes of a key (Amazon S3 User Guide, "Naming Amazon S3 objects")."""
_NAME_BYTES = 255  # of one file name, on Linux and macOS


def check_key(key: str, where: str) -> None:
    """Check what S3 itself would refuse.

    Raises:
        UserError: the key is empty, longer than 1,024 bytes, or no UTF-8.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise UserError(f"the key {key!r} is no UTF-8", where=where) from error
    if not 0 < size <= MOST_BYTES:
        raise UserError(f"a key has 1 to {MOST_BYTES} bytes, not {size}", where=where)


def file_of(root: Path, key: str, where: str, known: set[str] | None = None) -> Path:
    """The file of a key below a folder.

    Args:
        root: The folder, resolved.
        key: `/` between its parts.
        where: For the error.
        known: Folders that were found to be inside; those found now are added.

    Raises:
        UserError: the key leads out of the folder, also through a link, or another key would be
            the same file (`a//b`), or no file can have that name.
    """
    check_key(key, where)
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise UserError(
            f"the key {key!r} leaves its folder or names no file",
            where=where,
            remedy="rename the object: no empty part, no . and no ..",
        )
    if any(len(part.encode()) > _NAME_BYTES for part in parts):
        raise UserError(f"the key {key!r} has a part of more than {_NAME_BYTES} bytes", where=where)
    path = root.joinpath(*parts)
    folder = key[: -len(parts[-1])]
    if known is None or folder not in known:
        if not path.parent.resolve().is_relative_to(root):
            raise UserError(f"the key {key!r} leaves its folder through a link", where=where)
        if known is not None:
            known.add(folder)
    return path
