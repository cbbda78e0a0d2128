"""AWS::SSM::Parameter."""

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

__all__ = ["Parameter"]

_FIELDS = ("AllowedPattern", "DataType", "Description", "Tier", "Type", "Value")


class Parameter(Handler):
    """A stored parameter; CloudFormation makes no SecureString."""

    type = "AWS::SSM::Parameter"
    applies = frozenset({"Name", "Tags", *_FIELDS})
    not_emulated = frozenset({"Policies"})
    pace = Pace(create=3, update=3, delete=2)
    name_property = "Name"
    system_tags = True
    gone = frozenset({"ParameterNotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        name = desired.get("Name") or f"CFN-{site.logical_id}-{site.suffix}"
        site.client("ssm").put_parameter(Name=name, Tags=pairs(desired.tags), **_fields(desired))
        path = name if name.startswith("/") else f"/{name}"
        arn = f"arn:{site.partition}:ssm:{site.region}:{site.account}:parameter{path}"
        return site.claim(Made(physical_id=name, attributes={"Arn": arn}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ssm, name = site.client("ssm"), made.physical_id
        if new.differs(old, *_FIELDS):
            ssm.put_parameter(Name=name, Overwrite=True, **_fields(new))
        added, removed = tag_changes(old, new)
        target = {"ResourceType": "Parameter", "ResourceId": name}
        if added:
            ssm.add_tags_to_resource(**target, Tags=pairs(added))
        if removed:
            ssm.remove_tags_from_resource(**target, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ssm").delete_parameter(Name=made.physical_id)


def _fields(desired: Desired) -> dict[str, Any]:
    return {name: desired.get(name) for name in _FIELDS if desired.get(name) is not None}
