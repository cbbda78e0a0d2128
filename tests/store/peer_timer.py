"""Runs a command and prints wall seconds and the most memory of it and its children, in kB.

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
print(wall_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
