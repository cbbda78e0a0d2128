"""The working directory's archive: its hash is verified before a byte of it is unpacked."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from flyback.errors import ServiceError, UserError

__all__ = ["unpack"]

_CHUNK = 2**20


def unpack(archive: Path, sha256: str, folder: Path) -> None:
    """Unpack an archive that has the stated hash.

    Raises:
        ServiceError: it has another hash: what arrived is not what was sent.
        UserError: it holds what can't be unpacked safely, as a path outside the folder.
    """
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise ServiceError(
            f"the archive hashes to {digest.hexdigest()}, not to {sha256}",
            where="working directory",
            remedy="run the job again: it is uploaded anew",
        )
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # from 3.11.4 on
            tar.extractall(folder)  # noqa: S202  # ours by its hash, and filtered where Python can
    except (tarfile.TarError, OSError) as error:
        raise UserError(
            f"{error}", where="working directory", remedy="keep only plain files in the workdir"
        ) from error
