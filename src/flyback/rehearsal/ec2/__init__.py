"""EC2 as our path meets it, where moto differs from AWS.

Takes: RunInstances, CreateFleet and the calls that end, stop and start machines. Gives: machines
in moto's state that look as AWS would describe them and live on simulated time. Never: runs
anything; a `MachineHost` does.
"""

from __future__ import annotations

from flyback.rehearsal.ec2.gap import Ec2Gap
from flyback.rehearsal.ec2.images import IMAGES, parameter_value
from flyback.rehearsal.ec2.machines import Delays, Machines
from flyback.rehearsal.ec2.market import Capacity, Market

__all__ = ["IMAGES", "Capacity", "Delays", "Ec2Gap", "Machines", "Market", "parameter_value"]
