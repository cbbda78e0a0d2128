"""Between deployed and not: sentences instead of tracebacks; machines that EC2 learns of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from flyback.aws.cloudformation import StackFacts
from flyback.errors import NotDeployedError
from flyback.launch.deployment import find
from flyback.launch.teardown import terminate_and_wait


@dataclass
class _Stacks:
    stack: StackFacts

    def describe(self, name: str) -> StackFacts:
        del name
        return self.stack


@dataclass
class _Identity:
    account: str = "123456789012"


@dataclass
class _Session:
    cloudformation: Any = None
    ec2: Any = None
    identity: _Identity = field(default_factory=_Identity)
    region: str = "us-east-1"


def test_a_stack_of_nothing_but_data_is_not_deployed() -> None:
    """An `up` whose update failed after it had taken kept data in: run it again, says the error."""
    stack = StackFacts(
        name="flyback-core",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/flyback-core/1",
        status="UPDATE_ROLLBACK_COMPLETE",
        reason="",
        outputs={},
        tags={},
        parameters={},
    )
    session: Any = _Session(cloudformation=_Stacks(stack))
    with pytest.raises(NotDeployedError, match="flyback up"):
        find(session, "flyback")


@dataclass
class _Machine:
    state: str


@dataclass
class _LateEc2:
    """Knows a machine only from its third question on."""

    asked: int = 0
    ended: bool = False

    def instance(self, instance_id: str) -> _Machine | None:
        del instance_id
        self.asked += 1
        if self.asked < 3:
            return None
        return _Machine("terminated" if self.ended else "running")

    def terminate(self, instance_ids: Any, *, at_once: bool) -> None:
        del instance_ids, at_once
        self.ended = self.asked >= 2


@dataclass
class _Clock:
    time: float = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_a_machine_that_ec2_does_not_know_yet_is_ended_too() -> None:
    """Stopped within seconds of its launch, a machine is terminated, not taken for gone."""
    ec2 = _LateEc2()
    session: Any = _Session(ec2=ec2)
    clock: Any = _Clock()
    terminate_and_wait(session, ("i-0123456789abcdef0",), clock)
    assert ec2.ended
    assert ec2.asked == 3
