"""Ways to die."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


class Killed(BaseException):
    """A process ends here, without any clean-up."""


class Off(BaseException):
    """The machine that this thread ran on is off."""


class KilledThread(Exception):  # noqa: N818  # the same, in a thread that others wait for
    """A thread of the process ends here."""


@dataclass
class Death:
    """When somebody dies: once, at the k-th step, before or after it takes effect.

    Args:
        k: Which step, from 1, over all its processes; 0: never.
        late: Whether the step takes effect.
    """

    k: int = 0
    late: bool = False
    steps: int = field(default=0, init=False)
    dead: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def born(self) -> None:
        """Another process begins: the next agent, another invocation."""
        self.dead = False

    def before(self, request: object = None) -> None:
        """A step begins."""
        del request
        with self._lock:
            self.steps += 1
            number = self.steps
        if self.dead or (number == self.k and not self.late):
            self._die()

    def sent(self, request: object) -> None:
        """Nobody dies on the way of an answer."""

    def after(self) -> None:
        """It has taken effect."""
        with self._lock:
            number = self.steps
        if self.dead or (number == self.k and self.late):
            self._die()

    def _die(self) -> None:
        self.dead = True
        if threading.current_thread() is threading.main_thread():
            raise Killed
        raise KilledThread
