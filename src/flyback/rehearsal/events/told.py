"""What EC2 tells of its machines, in the words of its events (EC2 user guide, "EventBridge")."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.ec2 import Machines
from flyback.rehearsal.events.bus import EventBus
from flyback.rehearsal.moto_state import ACCOUNT

__all__ = ["tell_of_machines"]


def tell_of_machines(machines: Machines, bus: EventBus) -> None:
    """Let each state that a machine enters, and each notice that it gets, be an event."""

    def changed(instance: Any, state: str) -> None:
        bus.emit(
            instance.region_name,
            "aws.ec2",
            "EC2 Instance State-change Notification",
            {"instance-id": instance.id, "state": state},
            [f"arn:aws:ec2:{instance.region_name}:{ACCOUNT}:instance/{instance.id}"],
        )

    def warned(instance: Any, action: str) -> None:
        # These two name the zone where other ARNs name the region, and no account.
        resources = [f"arn:aws:ec2:{instance.availability_zone}:instance/{instance.id}"]
        detail = {"instance-id": instance.id}
        kind = "EC2 Instance Rebalance Recommendation"
        if action != "rebalance":
            kind, detail["instance-action"] = "EC2 Spot Instance Interruption Warning", action
        bus.emit(instance.region_name, "aws.ec2", kind, detail, resources)

    machines.changed = changed
    machines.warned = warned
