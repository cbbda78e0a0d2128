"""What a function printed, written to its log group by its own role, as Lambda does."""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.functions.environment import Outcome
from flyback.rehearsal.functions.state import Function

__all__ = ["write_logs"]


def write_logs(
    logs: Any, function: Function, stream: str, at: float, request_id: str, outcome: Outcome
) -> None:
    """Append one invocation to its log stream; what can't be written is lost, as on AWS.

    Args:
        logs: CloudWatch Logs as the function's role may use it.
        function: What ran.
        stream: Of its environment.
        at: Simulated seconds since the epoch.
        request_id: Of the invocation.
        outcome: What came of it.

    A group that the function's settings name is never created here: whether a late invocation
    brings a deleted group back is the role's permissions' affair, and ours have none for that.
    """
    lines = [f"START RequestId: {request_id} Version: $LATEST", *outcome.output.splitlines()]
    if outcome.error.startswith(("Runtime.", "Sandbox.")):
        lines.append(f"RequestId: {request_id} {outcome.payload.decode()}")
    lines.append(f"END RequestId: {request_id}")
    with contextlib.suppress(ClientError, BotoCoreError):
        _ensure(logs, function, stream)
        logs.put_log_events(
            logGroupName=function.log_group,
            logStreamName=stream,
            logEvents=[{"timestamp": int(at * 1000), "message": line or " "} for line in lines],
        )


def _ensure(logs: Any, function: Function, stream: str) -> None:
    if not function.get("LoggingConfig").get("LogGroup"):
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=function.log_group)
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=function.log_group, logStreamName=stream)
