"""Lambda: functions whose real code runs, in a process of its own, as the role that it was given.

Takes: a zip, settings, a role; invocations from the API, from schedules and from events. Gives:
what the handler returns, its logs, its failures, its retries. Never: runs code with anybody
else's credentials, or lets it reach this computer's files.
"""

from __future__ import annotations

from flyback.rehearsal.functions.gap import LambdaGap
from flyback.rehearsal.functions.invocations import Invocation, Invocations
from flyback.rehearsal.functions.state import Registry
from flyback.rehearsal.functions.workshop import Workshop

__all__ = ["Invocation", "Invocations", "LambdaGap", "Registry", "Workshop"]
