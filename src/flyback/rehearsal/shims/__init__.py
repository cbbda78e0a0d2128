"""The privileged commands of a simulated machine: recorded, acted out, or refused.

Takes: a command's name and arguments, and what the machine is. Gives: what the command prints, its
exit status and what it does to the machine's power. Never: runs anything, or does nothing silently.
"""

from __future__ import annotations

from flyback.rehearsal.shims.commands import Gpu, Machine, interpret
from flyback.rehearsal.shims.install import install, parse, render
from flyback.rehearsal.shims.power import Power, Reply

__all__ = ["Gpu", "Machine", "Power", "Reply", "install", "interpret", "parse", "render"]
