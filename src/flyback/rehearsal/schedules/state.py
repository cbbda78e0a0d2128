"""Schedules and their groups, as Scheduler keeps them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flyback.rehearsal.call import AwsError

__all__ = ["DEFAULT_GROUP", "Group", "Schedule", "Schedules"]

DEFAULT_GROUP = "default"
_RETRIES = {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}  # API reference


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule in one of its states; a change makes another.

    Args:
        name: Unique in its group.
        group: Name of its group.
        region: Where it is.
        arn: Its ARN.
        given: The parameters of the call that made or last changed it.
        created: Simulated seconds since the epoch.
        modified: Likewise.
        revision: Counts its changes.
    """

    name: str
    group: str
    region: str
    arn: str
    given: Mapping[str, Any]
    created: float
    modified: float
    revision: int = 1

    @property
    def enabled(self) -> bool:
        return bool(self.given.get("State", "ENABLED") == "ENABLED")

    @property
    def target(self) -> Mapping[str, Any]:
        """Whom it calls, with Scheduler's default retry policy."""
        target: Mapping[str, Any] = self.given["Target"]
        return {**target, "RetryPolicy": {**_RETRIES, **(target.get("RetryPolicy") or {})}}

    @property
    def once(self) -> bool:
        """Whether it fires one time only."""
        return str(self.given["ScheduleExpression"]).startswith("at(")

    @property
    def completes(self) -> bool:
        """Whether it goes once it has fired."""
        return self.once and self.given.get("ActionAfterCompletion") == "DELETE"

    def describe(self) -> dict[str, Any]:
        """As GetSchedule."""
        optional = ("Description", "StartDate", "EndDate", "KmsKeyArn")
        return {
            "Arn": self.arn,
            "Name": self.name,
            "GroupName": self.group,
            "ScheduleExpression": self.given["ScheduleExpression"],
            "ScheduleExpressionTimezone": self.given.get("ScheduleExpressionTimezone", "UTC"),
            "State": self.given.get("State", "ENABLED"),
            "FlexibleTimeWindow": self.given["FlexibleTimeWindow"],
            "ActionAfterCompletion": self.given.get("ActionAfterCompletion", "NONE"),
            "Target": self.target,
            "CreationDate": moment(self.created),
            "LastModificationDate": moment(self.modified),
            **{key: self.given[key] for key in optional if self.given.get(key)},
        }

    def summary(self) -> dict[str, Any]:
        """As ListSchedules."""
        names = ("Arn", "Name", "GroupName", "State", "CreationDate", "LastModificationDate")
        whole = self.describe()
        return {**{key: whole[key] for key in names}, "Target": {"Arn": self.target["Arn"]}}


@dataclass(frozen=True, kw_only=True)
class Group:
    """A schedule group: what carries tags, and what a role's trust can name."""

    name: str
    arn: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As GetScheduleGroup."""
        return {
            "Arn": self.arn,
            "Name": self.name,
            "State": "ACTIVE",
            "CreationDate": moment(self.created),
            "LastModificationDate": moment(self.created),
        }


class Schedules:
    """All groups and schedules, by region and name."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._groups: dict[tuple[str, str], Group] = {}
        self._schedules: dict[tuple[str, str, str], Schedule] = {}

    def group(self, region: str, name: str) -> Group:
        """A group.

        Raises:
            AwsError: there is none.
        """
        with self._lock:
            found = self._groups.get((region, name))
        if found is None:
            raise AwsError(
                "ResourceNotFoundException", f"Schedule group {name} does not exist.", 404
            )
        return found

    def put_group(self, region: str, group: Group) -> None:
        """Keep a group, in place of an earlier state of it."""
        with self._lock:
            self._groups[region, group.name] = group

    def has_group(self, region: str, name: str) -> bool:
        """Whether there is such a group."""
        with self._lock:
            return (region, name) in self._groups

    def remove_group(self, region: str, name: str) -> None:
        """Forget a group and all that is in it."""
        with self._lock:
            del self._groups[region, name]
            for key in [key for key in self._schedules if key[:2] == (region, name)]:
                del self._schedules[key]

    def groups(self, region: str) -> list[Group]:
        """Those of a region."""
        with self._lock:
            return [self._groups[key] for key in sorted(self._groups) if key[0] == region]

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """The tags of a group; none of anything else."""
        groups = self.groups(arn.split(":")[3])
        return next((group.tags for group in groups if group.arn == arn), {})

    def find(self, region: str, group: str, name: str) -> Schedule | None:
        """A schedule; None where there is none."""
        with self._lock:
            return self._schedules.get((region, group, name))

    def get(self, region: str, group: str, name: str) -> Schedule:
        """A schedule.

        Raises:
            AwsError: there is none.
        """
        found = self.find(region, group, name)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)
        return found

    def put(self, schedule: Schedule) -> None:
        """Keep a schedule, in place of an earlier state of it."""
        with self._lock:
            self._schedules[schedule.region, schedule.group, schedule.name] = schedule

    def remove(self, schedule: Schedule) -> None:
        """Forget a schedule."""
        with self._lock:
            self._schedules.pop((schedule.region, schedule.group, schedule.name), None)

    def all(self, region: str) -> list[Schedule]:
        """Those of a region."""
        with self._lock:
            return [self._schedules[key] for key in sorted(self._schedules) if key[0] == region]

    def is_current(self, schedule: Schedule) -> bool:
        """Whether this state of it is its latest, and it is still there."""
        found = self.find(schedule.region, schedule.group, schedule.name)
        return found is not None and found.revision == schedule.revision


def moment(seconds: float) -> datetime:
    """A time as the API gives it."""
    return datetime.fromtimestamp(seconds, UTC)
