"""AWS::Scheduler::ScheduleGroup and AWS::Scheduler::Schedule."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    pairs,
    tag_changes,
)

__all__ = ["Schedule", "ScheduleGroup"]

_GONE = frozenset({"ResourceNotFoundException"})


class ScheduleGroup(Handler):
    """A group of schedules; its deletion takes every schedule in it along."""

    type = "AWS::Scheduler::ScheduleGroup"
    applies = frozenset({"Name", "Tags"})
    pace = Pace(create=3, update=3, delete=5)
    name_property = "Name"
    system_tags = True
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        name = site.name(desired.get("Name"), most=64)
        scheduler = site.client("scheduler")
        arn = scheduler.create_schedule_group(Name=name, Tags=pairs(desired.tags))[
            "ScheduleGroupArn"
        ]
        return site.claim(Made(physical_id=name, attributes={"Arn": arn, "State": "ACTIVE"}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        scheduler, arn = site.client("scheduler"), made.attributes["Arn"]
        added, removed = tag_changes(old, new)
        if added:
            scheduler.tag_resource(ResourceArn=arn, Tags=pairs(added))
        if removed:
            scheduler.untag_resource(ResourceArn=arn, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("scheduler").delete_schedule_group(Name=made.physical_id)


class Schedule(Handler):
    """A schedule."""

    type = "AWS::Scheduler::Schedule"
    applies = frozenset(
        {
            "Description",
            "FlexibleTimeWindow",
            "GroupName",
            "Name",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "State",
            "Target",
        }
    )
    not_emulated = frozenset({"EndDate", "KmsKeyArn", "StartDate"})
    pace = Pace(create=3, update=3, delete=3)
    name_property = "Name"
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        name = site.name(desired.get("Name"), most=64)
        arn = site.client("scheduler").create_schedule(Name=name, **self._given(desired))
        return site.claim(Made(physical_id=name, attributes={"Arn": arn["ScheduleArn"]}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:  # noqa: ARG002  # the protocol's
        site.client("scheduler").update_schedule(Name=made.physical_id, **self._given(new))
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        group = {"GroupName": last.get("GroupName")} if last.get("GroupName") else {}
        site.client("scheduler").delete_schedule(Name=made.physical_id, **group)

    def _given(self, desired: Desired) -> dict[str, Any]:
        names = sorted(self.applies - {"Name"})
        return {key: desired.get(key) for key in names if desired.get(key) is not None}
