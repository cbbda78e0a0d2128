"""The fence around a simulated machine: its own folder, its image, the system's tools, no more.

Takes: allowed paths and ports. Gives: a child process that the kernel holds to them, and what the
kernel enforces. Never: runs a command unfenced where the kernel can fence it.

Enforced by Landlock, seccomp and dropped capabilities. What they leave open: names and attributes
of files elsewhere can be seen (`stat`), modes and times of files of the same user changed, and the
command lines of other processes read from /proc. There is no shared memory below /dev/shm, so
`multiprocessing` has no locks.
"""

from __future__ import annotations

from flyback.rehearsal.isolation.fence import Fence, private_paths, system_paths
from flyback.rehearsal.isolation.start import Protection, available, start

__all__ = ["Fence", "Protection", "available", "private_paths", "start", "system_paths"]
