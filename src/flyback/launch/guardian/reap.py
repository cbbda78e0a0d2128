"""Ending machines, and seeing them ended: all are asked first, then waited for together."""

from __future__ import annotations

from collections.abc import Iterable

from flyback.aws.ec2 import GONE, Instance
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.notify import tell

__all__ = ["CEILING_S", "DEADLINE_TAG", "Ends", "overdue"]

DEADLINE_TAG = "flyback:deadline"
CEILING_S = 86_400.0  # as user-data arms it before it knows better
_POLL_S = 5.0
_POLITE_S = 60.0  # an operating system that shuts down in order is done long before
_PATIENCE_S = 180.0
_RESERVE_S = 60.0  # of the function's time: what the ended runs need next


class Ends:
    """The machines that one call of the guardian ends.

    A system that has not gone after a minute is taken to hang, and is not waited for any more.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._why: dict[str, tuple[str, str]] = {}
        self._left: tuple[str, ...] = ()
        self._began = 0.0

    @property
    def runs(self) -> frozenset[str]:
        """Whose machines are waited for."""
        return frozenset(self._why[name][0] for name in self._left)

    def ask(self, run_id: str, machines: Iterable[str], why: str) -> bool:
        """Tell machines of a run to end, each once; whether one of them is to be waited for.

        Raises:
            FlybackError: EC2 refuses one; the others are told.
        """
        wanted = tuple(machines)
        if not self._left:
            self._began = self._guard.clock.now()
        failure: Exception | None = None
        for name in wanted:
            if name in self._why:
                continue
            try:
                self._guard.session.ec2.terminate((name,))
            except Exception as error:  # noqa: BLE001  # one must not keep the others running
                failure = failure or error
                continue
            self._why[name] = (run_id, why)
            self._left = (*self._left, name)
        if failure is not None:
            raise failure
        return any(name in self._left for name in wanted)

    def wait(self) -> dict[str, tuple[str, ...]]:
        """Wait until they are terminated, three minutes at most; by run, what is to be said.

        What has not gone by then, or when the function's own time runs out, the next sweep asks
        again.
        """
        guard, waited, pressed = self._guard, self._left, False
        until = min(self._began + _PATIENCE_S, guard.until - _RESERVE_S)
        left = self._living()
        while left and guard.clock.now() < until:
            if not pressed and guard.clock.now() - self._began >= _POLITE_S:
                guard.session.ec2.terminate(left, at_once=True)
                pressed = True
            guard.clock.sleep(_POLL_S)
            left = self._living()
        self._left = ()
        done: dict[str, tuple[str, ...]] = {}
        for name in waited:
            run_id, why = self._why[name]
            words = f"ended {name}: {why}"
            if name in left:
                words += "; it is still not terminated, the next sweep tries again"
            tell(guard, run_id, words)
            done[run_id or name] = (*done.get(run_id or name, ()), words)
        return done

    def _living(self) -> tuple[str, ...]:
        ec2 = self._guard.session.ec2
        found = ((name, ec2.instance(name)) for name in self._left)
        self._left = tuple(n for n, item in found if item is not None and item.state not in GONE)
        return self._left


def overdue(guard: Guard, run_id: str = "*") -> tuple[Instance, ...]:
    """Living machines of this deployment that are past the deadline on their own tag.

    A tag that says nothing sensible counts as a day after the launch, as the machine's own timer
    does.

    Args:
        guard: The deployment.
        run_id: Of one run alone; `*` is all of them.
    """
    now = guard.clock.now()
    return tuple(
        machine
        for machine in guard.session.ec2.instances(RUN_TAG, run_id)
        if machine.state not in GONE
        and machine.tags.get(NAME_TAG) == guard.name
        and now >= _deadline(machine)
    )


def _deadline(machine: Instance) -> float:
    ceiling = machine.launched_at + CEILING_S
    try:
        return float(int(machine.tags.get(DEADLINE_TAG, "")))
    except ValueError:
        return ceiling
