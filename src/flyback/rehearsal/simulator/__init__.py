"""The machines of a rehearsal: what the emulated EC2 launches really boots, here.

Takes: instance ids. Gives: user-data that runs as a subprocess behind a fence, with the metadata
service, the clock and the privileged commands of a real machine. Never: learns anything about the
machine but through the emulated EC2, IAM and STS.
"""

from __future__ import annotations

from flyback.rehearsal.simulator.host import InstanceSimulator, Options

__all__ = ["InstanceSimulator", "Options"]
