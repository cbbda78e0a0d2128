"""Scheduler's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.schedules.expressions import parse
from flyback.rehearsal.schedules.state import DEFAULT_GROUP, Group, Schedule, Schedules
from flyback.rehearsal.schedules.targets import check
from flyback.rehearsal.schedules.timetable import Timetable
from flyback.rehearsal.whole import check_given, operations_of

__all__ = ["SchedulerGap"]

_NAME = re.compile(r"[0-9a-zA-Z._-]{1,64}")
_SCHEDULE = frozenset(
    {
        "ActionAfterCompletion",
        "ClientToken",
        "Description",
        "EndDate",
        "FlexibleTimeWindow",
        "GroupName",
        "Name",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "StartDate",
        "State",
        "Target",
    }
)
_TAKEN = {"CreateSchedule": _SCHEDULE, "UpdateSchedule": _SCHEDULE}

Answer = Mapping[str, Any]


class SchedulerGap:
    """Scheduler in place of moto's, whose schedules never fire.

    Args:
        schedules: All schedules.
        timetable: Fires them.
        now: Simulated seconds since the epoch.
    """

    service = "scheduler"

    def __init__(
        self, schedules: Schedules, timetable: Timetable, now: Callable[[], float]
    ) -> None:
        self._schedules = schedules
        self._timetable = timetable
        self._now = now
        self._tokens: dict[tuple[str, str, str], tuple[Mapping[str, Any], Answer]] = {}
        self._answers: dict[str, Callable[[Call], Answer]] = {
            "CreateSchedule": lambda call: self._once(call, self._create),
            "CreateScheduleGroup": lambda call: self._once(call, self._create_group),
            "DeleteSchedule": self._delete,
            "DeleteScheduleGroup": self._delete_group,
            "GetSchedule": lambda call: self._schedule(call).describe(),
            "GetScheduleGroup": lambda call: self._group(call).describe(),
            "ListScheduleGroups": self._list_groups,
            "ListSchedules": self._list,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateSchedule": lambda call: self._once(call, self._update),
        }
        self.operations = operations_of("scheduler")

    def answer(
        self,
        call: Call,
        forward: Callable[[Call], Response],  # noqa: ARG002  # never moto's
    ) -> Answer:
        if not self._schedules.has_group(call.region, DEFAULT_GROUP):
            self._schedules.put_group(call.region, self._new_group(call, DEFAULT_GROUP, {}))
        check_given(call, self._answers, _TAKEN)
        return self._answers[call.operation](call)

    def _once(self, call: Call, make: Callable[[Call], Answer]) -> Answer:
        """A call with a token that was given before is answered as it was then."""
        token = call.params.get("ClientToken")
        if not token:
            return make(call)
        key = (call.region, call.operation, str(token))
        if key in self._tokens:
            before, answer = self._tokens[key]
            if before != call.params:
                raise AwsError(
                    "ConflictException",
                    "The client token was used before with other parameters.",
                    409,
                )
            return answer
        answer = make(call)
        self._tokens[key] = (dict(call.params), answer)
        return answer

    def _create(self, call: Call) -> Answer:
        given = call.params
        group = self._checked(call)
        name = str(given["Name"])
        if self._schedules.find(call.region, group.name, name) is not None:
            raise AwsError("ConflictException", f"Schedule {name} already exists.", 409)
        now = self._now()
        schedule = Schedule(
            name=name,
            group=group.name,
            region=call.region,
            arn=f"arn:aws:scheduler:{call.region}:{call.account}:schedule/{group.name}/{name}",
            given=dict(given),
            created=now,
            modified=now,
        )
        self._schedules.put(schedule)
        self._timetable.enter(schedule)
        return {"ScheduleArn": schedule.arn}

    def _update(self, call: Call) -> Answer:
        """All of a schedule is replaced: what the call leaves out goes back to its default."""
        self._checked(call)
        before = self._schedule(call)
        schedule = replace(
            before,
            given=dict(call.params),
            modified=self._now(),
            revision=before.revision + 1,
        )
        self._schedules.put(schedule)
        self._timetable.enter(schedule)
        return {"ScheduleArn": schedule.arn}

    def _delete(self, call: Call) -> Answer:
        self._schedules.remove(self._schedule(call))
        return {}

    def _list(self, call: Call) -> Answer:
        given = call.params
        found = [
            schedule.summary()
            for schedule in self._schedules.all(call.region)
            if schedule.group == given.get("GroupName", schedule.group)
            and schedule.name.startswith(given.get("NamePrefix") or "")
            and schedule.describe()["State"] == given.get("State", schedule.describe()["State"])
        ]
        return {"Schedules": found}

    def _create_group(self, call: Call) -> Answer:
        name = str(call.params["Name"])
        if self._schedules.has_group(call.region, name):
            raise AwsError("ConflictException", f"Schedule group {name} already exists.", 409)
        group = self._new_group(call, name, _tags(call))
        self._schedules.put_group(call.region, group)
        return {"ScheduleGroupArn": group.arn}

    def _delete_group(self, call: Call) -> Answer:
        """On AWS the schedules in it go one by one; here at once."""
        group = self._group(call)
        if group.name == DEFAULT_GROUP:
            raise AwsError("ValidationException", "The default schedule group can't be deleted.")
        self._schedules.remove_group(call.region, group.name)
        return {}

    def _list_groups(self, call: Call) -> Answer:
        prefix = call.params.get("NamePrefix") or ""
        groups = self._schedules.groups(call.region)
        return {"ScheduleGroups": [one.describe() for one in groups if one.name.startswith(prefix)]}

    def _list_tags(self, call: Call) -> Answer:
        tags = self._tagged(call).tags
        return {"Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}

    def _tag(self, call: Call) -> Answer:
        group = self._tagged(call)
        changed = replace(group, tags={**group.tags, **_tags(call)})
        self._schedules.put_group(call.region, changed)
        return {}

    def _untag(self, call: Call) -> Answer:
        group, gone = self._tagged(call), set(call.params["TagKeys"])
        kept = {key: text for key, text in group.tags.items() if key not in gone}
        self._schedules.put_group(call.region, replace(group, tags=kept))
        return {}

    def _checked(self, call: Call) -> Group:
        """The group of a schedule that is given in full.

        Raises:
            AwsError: what is given makes no schedule.
        """
        given = call.params
        if not _NAME.fullmatch(str(given["Name"])):
            raise AwsError("ValidationException", f"Invalid schedule name {given['Name']}.")
        if given["FlexibleTimeWindow"].get("Mode") != "OFF":
            raise AwsError("NotEmulated", "flexible time windows are not emulated", 501)
        parse(given["ScheduleExpression"], given.get("ScheduleExpressionTimezone") or "UTC")
        check(given["Target"])
        return self._schedules.group(call.region, given.get("GroupName") or DEFAULT_GROUP)

    def _schedule(self, call: Call) -> Schedule:
        group = self._schedules.group(call.region, call.params.get("GroupName") or DEFAULT_GROUP)
        return self._schedules.get(call.region, group.name, str(call.params["Name"]))

    def _group(self, call: Call) -> Group:
        return self._schedules.group(call.region, str(call.params["Name"]))

    def _tagged(self, call: Call) -> Group:
        """The group that a call names by ARN: nothing else of Scheduler takes tags."""
        arn = str(call.params.get("ResourceArn"))
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind != "schedule-group":
            raise AwsError("ValidationException", f"{arn} takes no tags.")
        return self._schedules.group(call.region, name)

    def _new_group(self, call: Call, name: str, tags: Mapping[str, str]) -> Group:
        arn = f"arn:aws:scheduler:{call.region}:{call.account}:schedule-group/{name}"
        return Group(name=name, arn=arn, created=self._now(), tags=tags)


def _tags(call: Call) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in call.params.get("Tags") or ()}
