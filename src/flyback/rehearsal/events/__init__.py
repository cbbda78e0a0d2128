"""EventBridge's default bus: events of the emulated cloud, rules over them, functions behind.

Takes: events that EC2 tells of itself, rules and targets as moto keeps them. Gives: invocations of
the targets. Never: promises that an event arrives; on AWS it is best effort, here a fault says so.
"""

from __future__ import annotations

from flyback.rehearsal.events.bus import EventBus
from flyback.rehearsal.events.gap import EventsGap
from flyback.rehearsal.events.told import tell_of_machines

__all__ = ["EventBus", "EventsGap", "tell_of_machines"]
