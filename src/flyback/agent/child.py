"""One child process: the job's cell, a setup command, or pip."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flyback.agent.output import Pump, note
from flyback.agent.redaction import Redactor

__all__ = ["Child", "Command", "Ended"]

_DRAIN_S = 5.0
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as a shell answers


@dataclass(frozen=True, kw_only=True, repr=False)
class Command:
    """What to start: program and arguments, where, and with which environment.

    Args:
        hidden: What its output is rid of before it reaches the log.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    hidden: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Command(argv={self.argv!r})"  # its environment may hold secrets


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended.

    Args:
        exit_code: Negative is the signal that killed it.
        last_line: The last line of its stdout that is not blank.
    """

    exit_code: int
    last_line: str


class Child:
    """A process in a group of its own, its output going to the log.

    Raises:
        OSError: it can't be started; `refusal` says what a shell would.
    """

    def __init__(self, command: Command, log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if command.hidden else file,
                bufsize=0,
                process_group=0,  # a signal reaches what it started, too
            )
        if self.process.stdout is None:
            raise AssertionError("a pipe was asked for")
        self._pump = Pump(self.process.stdout, log, Redactor(command.hidden))
        self._errors = None
        if self.process.stderr is not None:
            self._errors = Pump(self.process.stderr, log, Redactor(command.hidden))

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group; nothing happens where it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def close(self) -> Ended:
        """Take leave of a child that has ended: what it left running ends with it."""
        code = self.process.wait()
        self.signal(signal.SIGKILL)
        if self._errors is not None:
            self._errors.finish(_DRAIN_S)
        return Ended(exit_code=code, last_line=self._pump.finish(_DRAIN_S))

    @staticmethod
    def refusal(command: Command, error: OSError, log: Path) -> Ended:
        """What a child that can't be started counts as: 127 not found, 126 not executable."""
        note(log, f"{command.argv[0]}: {error.strerror or error}")
        missing = isinstance(error, FileNotFoundError)
        return Ended(exit_code=_NOT_FOUND if missing else _NOT_EXECUTABLE, last_line="")
