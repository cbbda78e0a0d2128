"""What this machine refuses (disk, rights, handles), as a sentence instead of a traceback."""

from __future__ import annotations

import errno
import os

from flyback.errors import UserError

__all__ = ["explain"]

_REMEDIES = {
    errno.ENOSPC: "free some disk, or set FLYBACK_HOME and TMPDIR to a larger one",
    errno.EDQUOT: "free some of your quota, or set FLYBACK_HOME and TMPDIR to another disk",
    errno.EFBIG: "raise the limit of file sizes (`ulimit -f`)",
    errno.EROFS: "set FLYBACK_HOME and TMPDIR to folders that can be written",
    errno.EACCES: "make it yours (`ls -ld`), or set FLYBACK_HOME to a folder that is",
    errno.EPERM: "make it yours (`ls -ld`), or set FLYBACK_HOME to a folder that is",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENOMEM: "free some memory",
}


def explain(error: OSError) -> UserError | None:
    """The error for a person; None for one that is a fault of ours and needs its traceback.

    On Linux these are the errors that open(2), write(2) and fork(2) document for a machine in
    want of something, whatever the program does.
    """
    if error.errno not in _REMEDIES:
        return None
    where = os.fsdecode(error.filename2 or error.filename or "this machine")
    return UserError(os.strerror(error.errno), where=where, remedy=_REMEDIES[error.errno])
