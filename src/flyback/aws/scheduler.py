"""One-shot schedules: what happens at a time, whoever is still there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyback.aws.service import Service
from flyback.errors import ConflictError, NotFoundError

__all__ = ["Moment", "Scheduler", "moment"]

_NO_WINDOW = {"Mode": "OFF"}
# Scheduler's own defaults are a day and 185 retries; what is an hour late the sweep has done.
_RETRIES = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 60}
_MINUTE_S = 60
_FORM = "at(%Y-%m-%dT%H:%M:%S)"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A one-shot schedule.

    Args:
        name: At most 64 letters, digits, `-`, `_` and `.`.
        group: Schedule group.
        at: Seconds since the epoch; whole ones. Scheduler is told the next whole minute: it fires
            somewhere in the minute that it is told, and nobody says whether seconds count there.
        target: ARN of what is called; `arn:aws:scheduler:::aws-sdk:…` is any API call.
        role: ARN of the role that Scheduler takes on for it.
        payload: What the target is given.
    """

    name: str
    group: str
    at: int
    target: str
    role: str
    payload: Mapping[str, Any]

    def request(self) -> dict[str, Any]:
        """As CreateSchedule and UpdateSchedule take it; it removes itself when it has fired."""
        whole = -(-self.at // _MINUTE_S) * _MINUTE_S
        return {
            "Name": self.name,
            "GroupName": self.group,
            "ScheduleExpression": datetime.fromtimestamp(whole, UTC).strftime(_FORM),
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": _NO_WINDOW,
            "ActionAfterCompletion": "DELETE",
            "State": "ENABLED",
            "Target": {
                "Arn": self.target,
                "RoleArn": self.role,
                "Input": json.dumps(self.payload),
                "RetryPolicy": _RETRIES,
            },
        }


def moment(answer: Mapping[str, Any]) -> Moment:
    """What GetSchedule told of a one-shot schedule."""
    at = datetime.strptime(answer["ScheduleExpression"], _FORM).replace(tzinfo=UTC)
    target = answer["Target"]
    return Moment(
        name=answer["Name"],
        group=answer["GroupName"],
        at=int(at.timestamp()),
        target=target["Arn"],
        role=target["RoleArn"],
        payload=json.loads(target.get("Input", "{}")),
    )


class Scheduler(Service):
    """EventBridge Scheduler."""

    def put(self, wanted: Moment, scope: str) -> None:
        """Create a schedule; one that exists is changed to what is wanted."""
        self._intend("create_schedule", wanted.name, scope)
        try:
            answer = self._call("create_schedule", **wanted.request())
        except ConflictError:
            self._call("update_schedule", **wanted.request())
            return
        self._made("create_schedule", wanted.name, scope, answer["ScheduleArn"])

    def update(self, wanted: Moment) -> bool:
        """Change a schedule that is there; false where there is none."""
        try:
            self._call("update_schedule", **wanted.request())
        except NotFoundError:
            return False
        return True

    def get(self, group: str, name: str) -> Moment | None:
        """A schedule; None where there is none, or it has fired."""
        try:
            return moment(self._call("get_schedule", GroupName=group, Name=name))
        except NotFoundError:
            return None

    def delete(self, group: str, name: str) -> None:
        """Delete a schedule; one that has fired and removed itself does not matter."""
        try:
            self._call("delete_schedule", GroupName=group, Name=name)
        except NotFoundError:
            return

    def names(self, group: str, prefix: str = "") -> tuple[str, ...]:
        """Schedules of a group, or of all where none is named; none where there is no group."""
        wanted = {"GroupName": group, "NamePrefix": prefix}
        wanted = {key: text for key, text in wanted.items() if text}
        try:
            found = list(self._pages("list_schedules", "Schedules", **wanted))
        except NotFoundError:
            return ()
        return tuple(sorted(item["Name"] for item in found))

    def everywhere(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """Group and name of schedules of any group whose names begin with `prefix`."""
        found = self._pages("list_schedules", "Schedules", NamePrefix=prefix)
        return tuple(sorted((item["GroupName"], item["Name"]) for item in found))
