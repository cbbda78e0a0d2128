"""A job that prints nothing for the time that its owner allows is taken to hang."""

from __future__ import annotations

from pathlib import Path

from flyback.agent.supervise import Stop

__all__ = ["Stall"]

_LOOKS = 4  # within the time allowed


class Stall:
    """Ends a job that makes no progress; progress is output.

    Args:
        minutes: How long it may be silent.
        log: Grows while it is not.
        now: When the first wait begins.
    """

    def __init__(self, minutes: float, log: Path, now: float) -> None:
        self._patience_s = minutes * 60
        self._log = log
        self._size = log.stat().st_size
        self._since = now
        self.due = now + self._patience_s / _LOOKS

    def tick(self, now: float) -> Stop | None:
        """Look whether the log has grown since it was looked at last."""
        size = self._log.stat().st_size
        if size != self._size:
            self._size = size
            self._since = now
        self.due = now + self._patience_s / _LOOKS
        if now - self._since < self._patience_s:
            return None
        return Stop(reason="stalled")
