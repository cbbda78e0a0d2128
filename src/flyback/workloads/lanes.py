"""The other end of a lane: starts the process, asks, and sees it gone."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from flyback.errors import JobFailedError
from flyback.spec.codec import decode
from flyback.spec.result import Result
from flyback.workloads.environment import THREADS

__all__ = ["Lane", "LaneError", "LateError"]

_TAIL = 2000
_QUICK_NS = 200_000_000  # a set-up that takes longer is done once per restart
_FIRST = 10  # times as long may the first one take: it imports what it computes with
_ONE_THREAD = dict.fromkeys(THREADS, "1")  # unless the caller's environment says otherwise


class LaneError(JobFailedError):
    """A lane did not begin, or ended before its time.

    Args:
        what: One sentence.
        status: Of the cell's row: `invalid`, `skipped` or `error`.
    """

    def __init__(self, what: str, status: str = "error") -> None:
        super().__init__(what)
        self.status = status


class LateError(LaneError):
    """A lane was not ready in time."""


class Lane:
    """One process that measures one cell.

    Args:
        workload: Name in the registry, or `module:Class`.
        parameters: Of the cell.
        env: Variables beside this process's own.
    """

    def __init__(
        self, workload: str, parameters: Mapping[str, Any], env: Mapping[str, str]
    ) -> None:
        self._messages = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # closed in close()
        self._process = subprocess.Popen(
            # -P: else the folder we are in would come before PYTHONPATH, and its code win.
            [sys.executable, "-P", "-m", "flyback.workloads.lane"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**_ONE_THREAD, **os.environ, **env},
            text=True,
        )
        self.typical_ns = 0
        self.paced = False
        self._setup_ns = 0
        self._quick_ns = _FIRST * _QUICK_NS
        with contextlib.suppress(OSError):  # it has ended: open() says why
            self._say({"workload": workload, "parameters": dict(parameters)})

    def open(self, within_s: float | None = None) -> None:
        """Wait until it is set up, checked and warm.

        Args:
            within_s: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            LateError: it is not ready by then.
            LaneError: it never will be.
        """
        assert self._process.stdout is not None  # noqa: S101  # for mypy: it is a pipe
        answers = [self._process.stdout.fileno()]  # none was read before, so none is in a buffer
        if within_s is not None and not select.select(answers, [], [], within_s)[0]:
            raise LateError(f"it was not ready within {within_s:.1f} s")
        answer = self._answer()
        if "failed" in answer:
            raise LaneError(answer["failed"], answer["status"])
        if "result" in answer:
            raise LaneError(answer["result"]["reason"], answer["result"]["status"])
        self.typical_ns = answer["typical_ns"]
        self.paced = answer["paced"]
        self._setup_ns = answer["setup_ns"]

    @property
    def is_quick(self) -> bool:
        """Whether setting the cell up anew is worth its time."""
        return self._setup_ns <= self._quick_ns

    def renew(self, seed: int) -> None:
        """Set the cell up anew, elsewhere in memory."""
        self._setup_ns = self._ask({"renew": seed})["setup_ns"]
        self._quick_ns = _QUICK_NS

    def turn(self, count: int, settle: int) -> list[int]:
        """So many samples, ns, after so many results that are not timed."""
        samples: list[int] = self._ask({"turn": count, "settle": settle})["samples"]
        return samples

    def used_ns(self) -> int:
        """Processor time that the process has used so far, ns."""
        used: int = self._ask({"used": True})["cpu_ns"]
        return used

    def finish(self) -> Result:
        """The record, once the last sample has been checked."""
        return decode(Result, self._ask({"finish": True})["result"])

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._messages.close()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._say(question)
        except OSError as error:
            raise LaneError(f"the lane ended: {self._tail()}") from error
        return self._answer()

    def _say(self, question: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101  # for mypy: it is a pipe
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101  # as above
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise LaneError(f"the lane ended with {self._process.returncode}: {self._tail()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _tail(self) -> str:
        """The last line that it printed."""
        size = self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(0, size - _TAIL))
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
