"""Raw samples out of .npz files, with the standard library: a core install has no NumPy."""

from __future__ import annotations

import ast
import hashlib
import io
import struct
import sys
import zipfile
from array import array
from collections.abc import Sequence
from pathlib import Path

from flyback.errors import UserError

__all__ = ["read_samples"]

_MAGIC = b"\x93NUMPY"


def read_samples(path: Path, sha256: str | None = None) -> dict[str, Sequence[int]]:
    """The arrays of whole numbers in a file of samples.

    Args:
        path: The .npz file.
        sha256: What the record says; None does not check.

    Raises:
        UserError: it is missing, damaged, or not the file that the record speaks of.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            "the raw samples can't be read", where=f"{path}", remedy="collect the run again"
        ) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            "these are not the samples that the record was made from",
            where=f"{path}",
            remedy="collect the run again",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()
            }
    except (zipfile.BadZipFile, ValueError, struct.error, SyntaxError) as error:
        raise UserError(f"damaged: {error}", where=f"{path}", remedy="collect it again") from error


def _array(data: bytes) -> Sequence[int]:
    """A one-dimensional array of int64 in the .npy format, version 1 or 2."""
    if not data.startswith(_MAGIC):
        raise ValueError("not an .npy member")
    wide = data[6] > 1
    (length,) = struct.unpack_from("<I" if wide else "<H", data, 8)
    start = (12 if wide else 10) + length
    header = ast.literal_eval(data[start - length : start].decode("latin-1"))
    if header["descr"] != "<i8" or len(header["shape"]) != 1:
        raise ValueError(f"an array of {header['descr']}, {header['shape']}")
    values = array("q", data[start:])
    if sys.byteorder == "big":
        values.byteswap()
    return values
