"""CloudFormation for the rehearsal, for exactly the resource types that flyback deploys.

Takes: CloudFormation's requests. Gives: its answers, its events, and resources in the emulated
account. Never: skips a type or a property; what it can't do, it refuses by name.
"""

from __future__ import annotations

from flyback.rehearsal.cloudformation.gap import CloudFormationGap

__all__ = ["CloudFormationGap"]
