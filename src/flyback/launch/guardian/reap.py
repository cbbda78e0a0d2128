"""Ending machines, and seeing them ended: all are asked first, then waited for together."""

from __future__ import annotations

from collections.abc import Iterable

from flyback.aws.ec2 import GONE, Instance
from flyback.launch.ending import POLL_S, Ending, command_for, said_by
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.facts import NAME_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.notify import note, tell

__all__ = ["CEILING_S", "DEADLINE_TAG", "Ends", "overdue"]

DEADLINE_TAG = "flyback:deadline"
CEILING_S = 86_400.0  # as user-data arms it before it knows better
_PATIENCE_S = 180.0
_SAVING_S = 60.0  # of that: a machine past its deadline had its notice, a silent one saves nothing
_RESERVE_S = 60.0  # of the function's time: what the ended runs need next


class Ends:
    """The machines that one call of the guardian ends."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._ending = Ending(guard.session, guard.clock, lambda text: note("", text), _SAVING_S)
        self._why: dict[str, tuple[str, str]] = {}
        self._began = 0.0
        self.failures: list[Exception] = []
        """Why machines could not be ended: people were told, and the call has failed."""

    @property
    def runs(self) -> frozenset[str]:
        """Whose machines are waited for."""
        return frozenset(self._why[name][0] for name in self._ending.left)

    def ask(self, run_id: str, machines: Iterable[str], why: str) -> bool:
        """Tell machines of a run to end, each once; whether one of them is to be waited for."""
        wanted = tuple(machines)
        if not self._ending.left:
            self._began = self._guard.clock.now()
        for name in wanted:
            self._why.setdefault(name, (run_id, why))
        self._ending.ask(wanted)
        return any(name in self._ending.left for name in wanted)

    def wait(self) -> dict[str, tuple[str, ...]]:
        """Wait until they are terminated, three minutes at most; by run, what is to be said.

        What has not gone by then, or when the function's own time runs out, the next sweep asks
        again.
        """
        guard, waited = self._guard, self._ending.left
        until = min(self._began + _PATIENCE_S, guard.until - _RESERVE_S)
        left = self._ending.look()
        while left and guard.clock.now() < until:
            guard.clock.sleep(POLL_S)
            left = self._ending.look()
        refused, unseen = self._ending.refused, self._ending.unseen
        self._ending.abandon()
        self.failures += {**unseen, **refused}.values()
        done: dict[str, tuple[str, ...]] = {}
        for name in waited:
            run_id, why = self._why[name]
            words = f"ended {name}: {why}"
            if name in refused:
                words = f"{name} can't be ended ({why}) and bills on: {said_by(refused[name])}"
            elif name in unseen:
                words = (
                    f"{name} was told to end ({why}), and can't be seen: {said_by(unseen[name])}"
                )
            if name in left:
                words += "; it is not seen terminated, the next sweep tries again, or you: "
                words += command_for((name,))
            tell(guard, run_id, words)
            done[run_id or name] = (*done.get(run_id or name, ()), words)
        return done


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
