"""A client to be killed: syncs one place to another, then says so.

python transfer_child.py SRC DST [file size limit in bytes]
"""

from __future__ import annotations

import resource
import signal
import sys

from flyback.errors import FlybackError
from flyback.store.sync import sync


def main() -> None:
    """Sync; exit code 4 where it is refused."""
    source, target = sys.argv[1:3]
    if len(sys.argv) > 3:  # a full disk, as the kernel acts one out
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    print("ready", flush=True)
    try:
        plan = sync(source, target)
    except FlybackError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"copied {len(plan.copies)}", flush=True)


if __name__ == "__main__":
    main()
