"""The life of a machine, on simulated time: pending, running, stopping, stopped, terminated.

moto changes states at once; here each takes its while, and the `MachineHost` is told from clock
events when a machine shall boot and when its processes end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from flyback.rehearsal.call import AwsError, MachineHost
from flyback.rehearsal.moto_state import ACCOUNT, LOCK

__all__ = ["STATES", "Delays", "EventClock", "Machines", "NoHost", "enter"]

STATES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
_BY_USER = ("Client.UserInitiatedShutdown", "User initiated shutdown")
_BY_EC2 = ("Server.SpotInstanceTermination", "Spot instance termination")
_BY_SYSTEM = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")


class EventClock(Protocol):
    """What a machine needs of the rehearsal's clock."""

    def now(self) -> float:
        """Simulated seconds since the epoch."""
        ...

    def call_after(self, seconds: float, action: Callable[[], object]) -> Any:
        """Run an action when that many simulated seconds have passed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Delays:
    """How long a machine takes, in simulated seconds. Chosen, not measured on AWS.

    Args:
        pending: From launch to running.
        stopping: From stopping to stopped.
        shutting_down: From shutting-down to terminated.
        hung: Likewise for one whose operating system does not answer, unless its shutdown is
            skipped.
        remembered: How long EC2 still describes a terminated machine ("about an hour").
    """

    pending: float = 15.0
    stopping: float = 30.0
    shutting_down: float = 30.0
    hung: float = 1200.0
    remembered: float = 3600.0


class NoHost:
    """Machines that exist in the API only."""

    def boot(self, instance_id: str, region: str) -> None:
        """Nothing boots."""

    def halt(self, instance_id: str) -> None:
        """Nothing ends."""


class Machines:
    """Moves machines through their states.

    Args:
        clock: The rehearsal's clock.
        delays: How long each state lasts.

    Attributes:
        host: Runs them.
        launched: Told each machine that begins (moto's instance).
        changed: Told each state that a machine enters.
        warned: Told each notice that EC2 gives: `terminate`, `stop`, `hibernate`, or `rebalance`.
    """

    def __init__(self, clock: EventClock, delays: Delays | None = None) -> None:
        self._clock = clock
        self._delays = delays or Delays()
        self._hung: set[str] = set()
        self.host: MachineHost = NoHost()
        self.launched: Callable[[Any], object] = lambda _: None
        self.changed: Callable[[Any, str], object] = lambda *_: None
        self.warned: Callable[[Any, str], object] = lambda *_: None

    def begin(self, instance: Any) -> None:
        """A pending machine boots, and runs after its while."""
        launch = instance.launch_time

        def run() -> None:
            with LOCK:
                if instance.state == "pending" and instance.launch_time == launch:
                    self._enter(instance, "running")

        self.changed(instance, "pending")
        self._clock.call_after(0, lambda: self._boot(instance))
        self._clock.call_after(self._delays.pending, run)
        self.launched(instance)

    def terminate(
        self,
        instance: Any,
        reason: tuple[str, str] = _BY_USER,
        *,
        skip_os_shutdown: bool = False,
    ) -> str:
        """End a machine; its volumes and interfaces go with it where they shall.

        Args:
            instance: moto's instance.
            reason: State reason: AWS's code and the words after it.
            skip_os_shutdown: Do not wait for its operating system.

        Returns:
            The state that it was in.
        """
        hung = instance.id in self._hung
        with LOCK:
            before = str(instance.state)
            if before == "terminated" or (
                before == "shutting-down" and not (hung and skip_os_shutdown)
            ):
                return before
            if before != "shutting-down":
                self._enter(instance, "shutting-down")
                self._explain(instance, reason)
        self.host.halt(instance.id)  # at once: a machine that never waits would hold the clock
        delay = self._delays.shutting_down if before != "stopped" else 0.0
        if hung and not skip_os_shutdown:
            delay = self._delays.hung
        self._clock.call_after(delay, lambda: self._terminated(instance))
        return before

    def stop(self, instance: Any, reason: tuple[str, str] = _BY_USER) -> str:
        """Stop a machine; it keeps its volumes.

        Raises:
            AwsError: a one-time spot machine can't be stopped, nor one that is ending.
        """
        with LOCK:
            before = str(instance.state)
            if before in ("stopping", "stopped"):
                return before
            _check_stoppable(instance)
            self._enter(instance, "stopping")
            self._explain(instance, reason)

        def stopped() -> None:
            with LOCK:
                if instance.state == "stopping":
                    with _kept(instance):
                        instance.stop()
                    self.changed(instance, "stopped")

        self.host.halt(instance.id)  # at once: a machine that never waits would hold the clock
        self._clock.call_after(self._delays.stopping, stopped)
        return before

    def start(self, instance: Any) -> str:
        """Start a stopped machine.

        Raises:
            AwsError: it is in another state.
        """
        with LOCK:
            before = str(instance.state)
            if before in ("pending", "running"):
                return before
            if before != "stopped":
                raise AwsError(
                    "IncorrectInstanceState",
                    f"The instance '{instance.id}' is not in a state from which it can be started.",
                )
            instance.start()
            instance.launch_time = _moment(self._clock.now()).replace(tzinfo=None)
            enter(instance, "pending")
        self.begin(instance)
        return before

    def reboot(self, instance: Any) -> None:
        """Reboot a machine's operating system.

        Raises:
            AwsError: it does not run.
        """
        if instance.state != "running":
            raise AwsError(
                "IncorrectState",
                f"The instance '{instance.id}' is not in the 'running' state.",
            )

        def again() -> None:
            rebooting = getattr(self.host, "reboot", None)
            if rebooting is not None:
                rebooting(instance.id)
            else:
                self.host.halt(instance.id)
                self._boot(instance)

        self._clock.call_after(0, again)

    def power_off(self, instance_id: str) -> None:
        """The operating system of a machine has shut itself down.

        It stops or terminates, as its `InstanceInitiatedShutdownBehavior` says.
        """
        instance = self._find(instance_id)
        if instance is None or instance.state not in ("pending", "running"):
            return
        if instance.instance_initiated_shutdown_behavior == "terminate":
            self.terminate(instance, _BY_SYSTEM)
        else:
            self.stop(instance, _BY_SYSTEM)

    def reclaim(self, instance_id: str) -> None:
        """EC2 takes a spot machine back, after whatever notice it gave."""
        instance = self._find(instance_id)
        if instance is not None:
            self.terminate(instance, _BY_EC2)

    def hang(self, instance_id: str, *, frozen: bool) -> None:
        """A machine's operating system no longer shuts down; frozen, it does nothing at all.

        EC2 goes on calling it running, and waits long for it where it is told to end it.
        """
        self._hung.add(instance_id)
        getattr(self.host, "hang", lambda *_: None)(instance_id, frozen)

    def is_spot(self, instance_id: str) -> bool:
        """Whether EC2 may take a machine back."""
        return getattr(self._find(instance_id), "lifecycle", None) == "spot"

    def restart(self, instance_id: str) -> None:
        """A running machine reboots by itself; does nothing to any other."""
        instance = self._find(instance_id)
        if instance is not None and instance.state == "running":
            self.reboot(instance)

    def warn(self, instance_id: str, action: str, at: float) -> None:
        """EC2 says that it takes a machine away: on the machine, and as an event.

        Args:
            instance_id: The machine.
            action: `terminate`, `stop` or `hibernate`; `rebalance` for a raised risk.
            at: When, in simulated seconds since the epoch.
        """
        instance = self._find(instance_id)
        if instance is None or instance.state not in ("pending", "running"):
            return
        if action == "rebalance":
            told = getattr(self.host, "recommend_rebalance", lambda *_: None)
            told(instance_id, self._clock.now())
        else:
            getattr(self.host, "notice", lambda *_: None)(instance_id, action, at)
        self.warned(instance, action)

    def _enter(self, instance: Any, name: str) -> None:
        enter(instance, name)
        self.changed(instance, name)

    def _boot(self, instance: Any) -> None:
        if instance.state in ("pending", "running"):
            self.host.boot(instance.id, instance.region_name)

    def _terminated(self, instance: Any) -> None:
        self._hung.discard(instance.id)
        with LOCK:
            if instance.state == "terminated":
                return
            with _kept(instance):
                instance.terminate()
            self.changed(instance, "terminated")
            state = instance.ec2_backend
            request = state.spot_instance_requests.get(
                getattr(instance, "spot_instance_request_id", "")
            )
            if request is not None:
                request.state = "closed"
                by_user = instance.state_reason.code != _BY_EC2[0]
                why = "by-user" if by_user else "no-capacity"
                request._status_code = f"instance-terminated-{why}"  # noqa: SLF001  # no setter
        self._clock.call_after(self._delays.remembered, lambda: _forget(instance))

    def _explain(self, instance: Any, reason: tuple[str, str]) -> None:
        code, words = reason
        instance.state_reason.code = code
        instance.state_reason.message = f"{code}: {words}"
        moment = _moment(self._clock.now()).strftime("%Y-%m-%d %H:%M:%S GMT")
        words = f"User initiated ({moment})" if reason == _BY_USER else ""
        instance._reason = words  # noqa: SLF001  # moto has no setter

    @staticmethod
    def _find(instance_id: str) -> Any:
        with LOCK:
            from moto.ec2.models import ec2_backends

            for state in ec2_backends[ACCOUNT].values():
                instance = state.get_instance_by_id(instance_id)
                if instance is not None:
                    return instance
        return None


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def enter(instance: Any, name: str) -> None:
    """Put moto's instance into a state."""
    state = instance._state  # noqa: SLF001  # moto has no setter
    state.name, state.code = name, STATES[name]


@contextmanager
def _kept(instance: Any) -> Iterator[None]:
    """Let moto change a state, but keep the reason that is there: moto knows only one."""
    reason, state_reason = instance.state_transition_reason, instance.state_reason
    yield
    instance._reason = reason  # noqa: SLF001  # moto has no setter
    instance.state_reason = state_reason


def _check_stoppable(instance: Any) -> None:
    if getattr(instance, "lifecycle", None) == "spot":
        raise AwsError(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance.id}' because it is associated with a "
            "one-time Spot Instance request. You can only stop Spot Instances associated with "
            "persistent Spot Instance requests.",
        )
    if instance.state not in ("pending", "running"):
        raise AwsError(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can be stopped.",
        )


def _forget(instance: Any) -> None:
    with LOCK:
        reservations = instance.ec2_backend.reservations
        for key, reservation in list(reservations.items()):
            if instance in reservation.instances:
                reservation.instances.remove(instance)
            if not reservation.instances:
                del reservations[key]
