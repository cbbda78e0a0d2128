"""Ending early, between two calls, when the machine is about to go."""

from __future__ import annotations

import signal
from types import FrameType

from flyback.errors import InterruptedRunError

__all__ = ["Stop"]


class Stop:
    """Remembers that SIGTERM or SIGINT came; the work asks between its steps.

    A flag rather than an exception out of the handler: nothing is left half done.
    """

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Listen for SIGTERM and SIGINT."""
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def check(self, doing: str) -> None:
        """Go on, or end.

        Raises:
            InterruptedRunError: a signal came.
        """
        if self.requested:
            raise InterruptedRunError(
                f"interrupted while {doing}", remedy="run it again; it starts from the beginning"
            )

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
