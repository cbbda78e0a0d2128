"""EventBridge Scheduler: schedules that fire on simulated time, as the role that they were given.

Takes: schedules and groups by their API. Gives: calls of their targets, signed by their roles,
within the minute that AWS promises. Never: fires before its time, or as anybody else.
"""

from __future__ import annotations

from flyback.rehearsal.schedules.gap import SchedulerGap
from flyback.rehearsal.schedules.state import Schedules
from flyback.rehearsal.schedules.timetable import Firing, Timetable

__all__ = ["Firing", "SchedulerGap", "Schedules", "Timetable"]
