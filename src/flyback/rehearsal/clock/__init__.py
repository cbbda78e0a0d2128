"""The discrete-event clock of a rehearsal: simulated time that all its processes share.

Takes: waits and scheduled actions. Gives: one order of events, as fast as the processes allow.
Never: passes a due event, or lets time go on while somebody runs.
"""

from __future__ import annotations

from flyback.rehearsal.clock.agenda import ClockError, Handle
from flyback.rehearsal.clock.participant import Participant
from flyback.rehearsal.clock.virtual import VirtualClock

__all__ = ["ClockError", "Handle", "Participant", "VirtualClock"]
