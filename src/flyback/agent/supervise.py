"""The one loop that waits: for the child, and for whichever concern is due next."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from flyback.agent.child import Child, Command, Ended
from flyback.spec.clock import Clock

__all__ = ["Concern", "Stop", "StopReason", "Supervisor"]

StopReason = Literal["deadline", "interrupted", "stalled"]
_GRACE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Stop:
    """The job has to end: SIGTERM, which means checkpoint, then SIGKILL after `grace_s`."""

    reason: StopReason
    grace_s: float = _GRACE_S


class Concern(Protocol):
    """Something with a time of its own.

    `due` is in seconds since the epoch; infinite where it has nothing more to do.
    """

    @property
    def due(self) -> float:
        """When it wants to be ticked next."""
        ...

    def tick(self, now: float) -> Stop | None:
        """Do what is due and set the next time; a `Stop` ends the job."""
        ...


class Supervisor:
    """Runs children one after the other while the concerns get their turns.

    Args:
        clock: The only one that anything in the agent waits on.
        log: Where children's output goes.
    """

    def __init__(self, clock: Clock, log: Path) -> None:
        self._clock = clock
        self._log = log
        self._concerns: Sequence[Concern] = ()
        self._child: Child | None = None
        self._kill_at = math.inf
        self._asked = False
        self.stop: Stop | None = None

    def watch(self, concerns: Sequence[Concern]) -> None:
        """Give these their turns from now on."""
        self._concerns = concerns

    def also_watch(self, concern: Concern) -> None:
        """Give this one its turns as well."""
        self._concerns = [*self._concerns, concern]

    def tick(self) -> None:
        """Give every concern that is due its turn; the first stop that is asked for counts."""
        now = self._clock.now()
        for concern in self._concerns:
            if concern.due <= now:
                stop = concern.tick(now)
                self.stop = self.stop or stop

    def interrupt(self) -> None:
        """End the job as interrupted. Safe in a signal handler: asks no clock."""
        self.stop = self.stop or Stop(reason="interrupted")
        if self._child is not None and not self._asked:
            self._asked = True
            self._child.signal(signal.SIGTERM)

    def run(self, command: Command) -> Ended:
        """Run a child to its end; it is stopped once a stop is asked for."""
        self._kill_at, self._asked = math.inf, False
        try:
            child = Child(command, self._log)
        except OSError as error:
            return Child.refusal(command, error, self._log)
        self._child = child
        try:
            self._press(child)
            while not self._clock.wait(child.process, self._until_due()):
                self.tick()
                self._press(child)
        except BaseException:
            child.signal(signal.SIGKILL)
            raise
        finally:
            self._child = None
            ended = child.close()
        return ended

    def _until_due(self) -> float:
        due = min([self._kill_at, *(concern.due for concern in self._concerns)])
        return max(due - self._clock.now(), 0.0) if math.isfinite(due) else _GRACE_S

    def _press(self, child: Child) -> None:
        if self.stop is None:
            return
        now = self._clock.now()
        if math.isinf(self._kill_at):
            self._kill_at = now + self.stop.grace_s
        if not self._asked:
            self._asked = True
            child.signal(signal.SIGTERM)
            self._clock.signalled(child.process)
        if now >= self._kill_at:
            child.signal(signal.SIGKILL)
            self._clock.signalled(child.process)
            self._kill_at = now + _GRACE_S
