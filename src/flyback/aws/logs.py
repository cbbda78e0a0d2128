"""CloudWatch Logs: write as lines come, read while they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flyback.aws.service import Service
from flyback.errors import ConflictError, NotFoundError

__all__ = ["LogPage", "Logs"]


@dataclass(frozen=True)
class LogPage:
    """Lines, and the token to go on from."""

    lines: tuple[str, ...]
    token: str | None


class Logs(Service):
    """CloudWatch Logs."""

    def create_stream(self, group: str, stream: str) -> None:
        """Create a stream; one that exists is taken as it is."""
        try:
            self._call("create_log_stream", logGroupName=group, logStreamName=stream)
        except ConflictError:
            return

    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Send lines, each with its time in milliseconds since the epoch, in time order."""
        self._call(
            "put_log_events",
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": at, "message": text or " "} for at, text in events],
        )

    def page(self, group: str, stream: str, token: str | None = None) -> LogPage:
        """The next lines of a stream from its beginning; a stream that is not there has none."""
        more = {"nextToken": token} if token else {}
        try:
            answer = self._call(
                "get_log_events",
                logGroupName=group,
                logStreamName=stream,
                startFromHead=True,
                **more,
            )
        except NotFoundError:
            return LogPage((), None)
        lines = tuple(event["message"] for event in answer["events"])
        return LogPage(lines, answer.get("nextForwardToken"))

    def groups(self, prefix: str) -> tuple[str, ...]:
        """Names of the log groups with a prefix."""
        found = self._pages("describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
        return tuple(group["logGroupName"] for group in found)
