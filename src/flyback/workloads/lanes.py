"""The other end of a lane: starts the process, asks, and sees it gone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from flyback.errors import JobFailedError
from flyback.spec.codec import decode
from flyback.spec.result import Result
from flyback.workloads.environment import THREADS

__all__ = ["Lane", "LaneError"]

_TAIL = 2000
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
            [sys.executable, "-m", "flyback.workloads.lane"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**_ONE_THREAD, **os.environ, **env},
            text=True,
        )
        self.typical_ns = 0
        self.setup_ns = 0
        with contextlib.suppress(OSError):  # it has ended: open() says why
            self._say({"workload": workload, "parameters": dict(parameters)})

    def open(self) -> None:
        """Wait until it is set up, checked and warm.

        Raises:
            LaneError: it is not.
        """
        answer = self._answer()
        if "failed" in answer:
            raise LaneError(answer["failed"], answer["status"])
        if "result" in answer:
            raise LaneError(answer["result"]["reason"], answer["result"]["status"])
        self.typical_ns = answer["typical_ns"]
        self.setup_ns = answer["setup_ns"]

    def renew(self, seed: int) -> None:
        """Set the cell up anew, elsewhere in memory."""
        self._ask({"renew": seed})

    def turn(self, count: int, settle: int) -> list[int]:
        """So many samples, ns, after so many results that are not timed."""
        samples: list[int] = self._ask({"turn": count, "settle": settle})["samples"]
        return samples

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
