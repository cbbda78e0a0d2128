"""What all parts of the engine share: the register, the clock, clients of the emulated AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from flyback.audit.iam.handlers import Handled, Verb
from flyback.rehearsal.behalf import acted_for, acting_for
from flyback.rehearsal.cloudformation.names import partition_of, suffix
from flyback.rehearsal.cloudformation.resources.handler import Desired, Site
from flyback.rehearsal.cloudformation.stack import Register, Stack
from flyback.spec.clock import Clock

__all__ = ["Engine", "Permit", "SimulatedClock"]

Permit = Callable[[Handled, Verb], None]
"""Lets a handler work on a resource in its caller's name, or raises AWS's refusal."""


class SimulatedClock(Protocol):
    """The part of the rehearsal's clock that the engine uses."""

    def now(self) -> float:
        """Simulated seconds since the epoch."""
        ...

    def spawn(self, name: str, target: Callable[[Clock], None]) -> object:
        """Run `target` in a thread that takes part in simulated time."""
        ...


class Engine:
    """Shared state.

    `lock` is held by every request for as long as it is answered, so that two requests can't both
    find a stack at rest; the threads that work on stacks hold it only where they enter a state of
    rest. Readers take copies of what those threads grow.

    Args:
        clients: A boto3 client for a service in a region, calling the same emulated cloud.
        clock: Simulated time.
        permit: Asked before each handler works; None asks nobody.
    """

    def __init__(
        self,
        clients: Callable[[str, str], Any],
        clock: SimulatedClock,
        permit: Permit | None = None,
    ) -> None:
        self.clock = clock
        self.stacks = Register()
        self.lock = threading.RLock()
        self._clients = clients
        self._permit = permit
        self._made: dict[tuple[str, str], Any] = {}
        self._operations = 0

    def client(self, service: str, region: str) -> Any:
        """A client, made once."""
        key = (service, region)
        if key not in self._made:
            self._made[key] = self._clients(service, region)
        return self._made[key]

    def site(self, stack: Stack, logical_id: str) -> Site:
        """Where a handler works on a resource of a stack."""
        stack.created_names += 1
        return Site(
            clients=partial(self._client_in, stack.region),
            region=stack.region,
            account=stack.account,
            partition=partition_of(stack.region),
            stack_name=stack.name,
            logical_id=logical_id,
            suffix=suffix(stack.id, logical_id, stack.created_names),
        )

    def permit(self, stack: Stack, kind: str, verb: Verb, desired: Desired) -> None:
        """Ask for what AWS's handler of a type may do that the emulated one does not.

        Raises:
            AwsError: who called CloudFormation may not.
        """
        if self._permit is None:
            return
        handled = Handled(
            type=kind,
            stack=stack.name,
            properties=desired.properties,
            partition=partition_of(stack.region),
            region=stack.region,
            account=stack.account,
        )
        self._permit(handled, verb)

    def begin(self, stack: Stack, work: Callable[[Clock], None]) -> None:
        """Work on a stack in a thread of its own, in simulated time."""
        stack.working = True
        self._operations += 1
        self.spawn(f"{stack.name} {self._operations}", work)

    def spawn(self, name: str, work: Callable[[Clock], None]) -> None:
        """Go on with a request in a thread of its own, in its caller's name."""
        request = acted_for()

        def body(clock: Clock) -> None:
            with acting_for(request):
                work(clock)

        self.clock.spawn(f"cloudformation {name}", body)

    def _client_in(self, region: str, service: str) -> Any:
        return self.client(service, region)
