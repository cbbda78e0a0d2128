"""Run inside an execution environment: the loop between Lambda's runtime API and a handler.

Standard library only, and nothing of flyback: it is started by its path. It speaks the runtime API
(Lambda developer guide, "Using the Lambda runtime API"), gives the handler a context, and reports
what it returns or raises. One invocation at a time; the environment is frozen in between.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["main"]

PREFIX = "/2018-06-01/runtime"


class Context:
    """What a handler is told about its invocation."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""
        return max(self._deadline_ms - int(time.time() * 1000), 0)


def call(method: str, path: str, body: bytes | None = None) -> tuple[dict[str, str], bytes]:
    """One call of the runtime API: headers by lower-case name, and body."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        connection.request(method, PREFIX + path, body)
        answer = connection.getresponse()
        return {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def failure(error: BaseException) -> bytes:
    """An exception as Lambda shows it."""
    lines = traceback.format_exception(error)
    return json.dumps(
        {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "stackTrace": lines[1:-1],
        }
    ).encode()


def load(name: str) -> Callable[[Any, Context], Any]:
    """The handler that `module.function` names."""
    module, _, function = name.rpartition(".")
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    found: Callable[[Any, Context], Any] = getattr(
        importlib.import_module(module.replace("/", ".")), function
    )
    return found


def serve(handler: Callable[[Any, Context], Any]) -> None:
    """Answer invocations until the environment is thrown away."""
    while True:
        headers, event = call("GET", "/invocation/next")
        context = Context(headers)
        path = f"/invocation/{context.aws_request_id}"
        try:
            result = json.dumps(handler(json.loads(event or b"{}"), context)).encode()
            end = "/response"
        except Exception as error:  # noqa: BLE001  # whatever the handler raises is its answer
            traceback.print_exc()
            result, end = failure(error), "/error"
        sys.stdout.flush()
        sys.stderr.flush()
        call("POST", path + end, result)


def main() -> None:
    """Load the handler, then serve."""
    try:
        handler = load(os.environ["_HANDLER"])
    except BaseException as error:
        traceback.print_exc()
        call("POST", "/init/error", failure(error))
        raise SystemExit(1) from error
    serve(handler)


if __name__ == "__main__":
    main()
