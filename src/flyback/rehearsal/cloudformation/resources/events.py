"""AWS::Events::Rule."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
    pairs,
    tag_changes,
)

__all__ = ["Rule"]


class Rule(Handler):
    """A rule of the default event bus, and its targets."""

    type = "AWS::Events::Rule"
    applies = frozenset({"Description", "EventPattern", "Name", "State", "Tags", "Targets"})
    not_emulated = frozenset({"EventBusName", "RoleArn", "ScheduleExpression"})
    pace = Pace(create=60, update=60, delete=60)
    name_property = "Name"
    system_tags = True
    gone = frozenset({"ResourceNotFoundException"})

    def create(self, site: Site, desired: Desired) -> Made:
        events = site.client("events")
        name = site.name(desired.get("Name"), most=64)
        arn = events.put_rule(Name=name, Tags=pairs(desired.tags), **_rule(desired))["RuleArn"]
        made = site.claim(Made(physical_id=name, attributes={"Arn": arn, "RuleName": name}))
        _target(events, name, desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        events, name = site.client("events"), made.physical_id
        events.put_rule(Name=name, **_rule(new))
        gone = {item["Id"] for item in old.get("Targets", [])}
        gone -= {item["Id"] for item in new.get("Targets", [])}
        if gone:
            events.remove_targets(Rule=name, Ids=sorted(gone))
        _target(events, name, new)
        added, removed = tag_changes(old, new)
        arn = made.attributes["Arn"]
        if added:
            events.tag_resource(ResourceARN=arn, Tags=pairs(added))
        if removed:
            events.untag_resource(ResourceARN=arn, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        events, name = site.client("events"), made.physical_id
        events.describe_rule(Name=name)  # moto's DeleteRule is content where there is none
        ids = [item["Id"] for item in last.get("Targets", [])]
        if ids:
            events.remove_targets(Rule=name, Ids=ids)
        events.delete_rule(Name=name)


def _rule(desired: Desired) -> dict[str, Any]:
    given = {key: desired.get(key) for key in ("Description", "State") if desired.get(key)}
    return {**given, "EventPattern": as_document(desired.get("EventPattern"))}


def _target(events: Any, name: str, desired: Desired) -> None:
    if desired.get("Targets"):
        events.put_targets(Rule=name, Targets=desired.get("Targets"))
