"""Runs a command and prints its wall seconds, most memory (kB) and processor seconds.

A process of its own, since a child's peak begins with that of the process which started it.
"""

from __future__ import annotations

import os
import resource
import sys
import time

began = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)]
)
_, status = os.waitpid(child, 0)
wall_s = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall_s, used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
