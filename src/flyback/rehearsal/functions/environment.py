"""One execution environment: a fenced process, and the runtime API that it asks for work."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from flyback.rehearsal.clock import Participant, VirtualClock
from flyback.rehearsal.functions import bootstrap
from flyback.rehearsal.functions.state import Function
from flyback.rehearsal.image import Image
from flyback.rehearsal.imds import Answer
from flyback.rehearsal.isolation import Fence, start
from flyback.rehearsal.roles import Session
from flyback.rehearsal.simulator.ports import LoopbackServer, Then

__all__ = ["Environment", "Outcome", "Place"]

_NEXT = f"{bootstrap.PREFIX}/invocation/next"
_INIT_ERROR = f"{bootstrap.PREFIX}/init/error"
_LEAST_REAL_S = 120.0  # a loaded computer starts Python slowly; Lambda's own timeout is simulated


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an environment runs.

    Args:
        endpoint: URL of the emulated cloud.
        folder: Its own; `task` in it holds the code.
        image: Interpreter and packages.
        system: Paths of this computer that it may read.
    """

    endpoint: str
    folder: Path
    image: Image
    system: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an invocation.

    Args:
        payload: JSON: what the handler returned, or its error.
        error: Empty, or the error's type.
        output: What it printed.
    """

    payload: bytes
    error: str = ""
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class _Work:
    request_id: str
    event: bytes
    deadline_ms: int


class Environment:
    """A warm process that runs one function; one invocation at a time.

    Args:
        function: What it runs.
        name: Its own.
        place: Where.
        session: Of the function's role.
        clock: The rehearsal's; time stands still while an invocation runs.
    """

    def __init__(
        self, function: Function, name: str, place: Place, session: Session, clock: VirtualClock
    ) -> None:
        self._function = function
        self._name = f"lambda:{name}"
        self._place = place
        self._clock = clock
        self._work: queue.Queue[_Work | None] = queue.Queue()
        self._results: queue.Queue[tuple[str, Outcome]] = queue.Queue()
        self._log = place.folder / "output.log"
        self._read = 0
        self._holder: Participant | None = None
        self._closed = threading.Lock()
        self.alive = True
        self.session = session
        self.lasts_until = session.ends_at
        self.log_stream = f"{time.strftime('%Y/%m/%d', time.gmtime(clock.now()))}/[$LATEST]{name}"
        self._server = LoopbackServer(self._answer)
        self._process = self._start()
        threading.Thread(target=self._watch, name=self._name, daemon=True).start()

    def invoke(self, request_id: str, event: bytes, holder: Participant | None = None) -> Outcome:
        """Run the handler once; blocks. The environment takes part in the clock meanwhile.

        Args:
            request_id: Of the invocation.
            event: JSON.
            holder: Who holds time now and is to hold it again afterwards.
        """
        limit = float(self._function.get("Timeout"))
        self._clock.join(self._name)
        self._holder = holder
        if holder is not None:
            holder.leave()
        timer = self._clock.call_after(limit, lambda: self._time_out(request_id, limit))
        try:
            deadline_ms = int((time.time() + limit) * 1000)
            self._work.put(_Work(request_id=request_id, event=event, deadline_ms=deadline_ms))
            outcome = self._result(request_id, max(limit, _LEAST_REAL_S))
        finally:
            timer.cancel()
            self._hold()
            self._holder = None
            self._clock.leave(self._name)
        printed = self._printed()
        if outcome.error.startswith(("Runtime.", "Sandbox.")):
            self.close()
        return Outcome(payload=outcome.payload, error=outcome.error, output=printed)

    def close(self) -> None:
        """Kill the process; idempotent. An invocation that runs ends as `Runtime.ExitError`."""
        with self._closed:
            if not self.alive:
                return
            self.alive = False
        self._hold()  # an invocation that waits is over: its end takes no time
        self._work.put(None)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._server.close()
        self._clock.leave(self._name)
        shutil.rmtree(self._place.folder, ignore_errors=True)

    def _hold(self) -> None:
        """Time stands still from now on, until the invocation's end is dealt with."""
        holder = self._holder
        if holder is not None:
            holder.join()

    def _result(self, request_id: str, real_seconds: float) -> Outcome:
        try:
            while True:
                about, outcome = self._results.get(timeout=real_seconds)
                if about in (request_id, ""):
                    break
        except queue.Empty:
            outcome = _timed_out(real_seconds)
        return outcome

    def _time_out(self, request_id: str, limit: float) -> None:
        """Simulated time is up; from an event of the clock."""
        self._hold()
        self._results.put((request_id, _timed_out(limit)))

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Answer, Then | None]:
        del headers
        if method == "GET" and path == _NEXT:
            work = self._work.get()
            if work is None:
                return Answer(status=HTTPStatus.GONE), None
            return Answer(
                body=work.event,
                headers={
                    "Lambda-Runtime-Aws-Request-Id": work.request_id,
                    "Lambda-Runtime-Deadline-Ms": str(work.deadline_ms),
                    "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
                },
            ), None
        if path == _INIT_ERROR:
            self._results.put(("", Outcome(payload=body, error="Runtime.InitError")))
            return Answer(status=HTTPStatus.ACCEPTED), None
        request_id, _, kind = path.removeprefix(f"{bootstrap.PREFIX}/invocation/").partition("/")
        error = str(json.loads(body).get("errorType")) if kind == "error" else ""
        self._results.put((request_id, Outcome(payload=body, error=error)))
        return Answer(status=HTTPStatus.ACCEPTED), None

    def _start(self) -> subprocess.Popen[bytes]:
        folder, image = self._place.folder, self._place.image
        scratch = folder / "tmp"
        scratch.mkdir()
        script = folder / "bootstrap.py"
        shutil.copyfile(bootstrap.__file__, script)
        port = urllib.parse.urlsplit(self._place.endpoint).port or 80
        fence = Fence(
            read=(
                *self._place.system,
                str(image.path),
                *map(str, image.needs),
                str(folder / "task"),
                str(script),
            ),
            write=(str(scratch),),
            ports=(port, self._server.port),
        )
        return start(
            [[str(image.bin / "python3"), "-B", "-u", str(script)]],
            fence,
            directory=folder / "task",
            environment=self._variables(scratch),
            log=self._log,
        )

    def _variables(self, scratch: Path) -> dict[str, str]:
        """Lambda's own variables (developer guide, "Defined runtime environment variables")."""
        function, region, caller = self._function, self._function.region, self.session.caller
        return {
            **function.environment,
            "_HANDLER": str(function.get("Handler")),
            "AWS_ACCESS_KEY_ID": caller.access_key,
            "AWS_SECRET_ACCESS_KEY": caller.secret,
            "AWS_SESSION_TOKEN": caller.token,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.get('Runtime')}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.get("MemorySize")),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.port}",
            "LAMBDA_TASK_ROOT": str(self._place.folder / "task"),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": f"{self._place.image.bin}:/usr/bin:/bin",
            "TMPDIR": str(scratch),
            "AWS_ENDPOINT_URL": self._place.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "FLYBACK_CLOCK_URL": f"{self._place.endpoint.rstrip('/')}/_flyback/clock",
            "FLYBACK_CLOCK_PARTICIPANT": self._name,
        }

    def _watch(self) -> None:
        """Follow the process: where it ends by itself, its invocation fails."""
        status = 0
        with self._process as process:
            for line in process.stdout or ():
                status = json.loads(line).get("main", status)
        text = f"Runtime exited with error: exit status {status}"
        payload = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": f"Error: {text}"})
        self._results.put(("", Outcome(payload=payload.encode(), error="Runtime.ExitError")))

    def _printed(self) -> str:
        """What was printed since the last time."""
        try:
            data = self._log.read_bytes()[self._read :]
        except OSError:
            return ""
        self._read += len(data)
        return data.decode(errors="replace")


def _timed_out(seconds: float) -> Outcome:
    payload = {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"Error: Task timed out after {seconds:.2f} seconds",
    }
    return Outcome(payload=json.dumps(payload).encode(), error="Sandbox.Timedout")
