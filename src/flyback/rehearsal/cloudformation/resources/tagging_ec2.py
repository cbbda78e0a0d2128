"""Tags on EC2 resources: the same calls for every type."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import Desired, pairs, tag_changes

__all__ = ["retag", "tagged"]


def tagged(resource_type: str, desired: Desired) -> dict[str, Any]:
    """The `TagSpecifications` argument of a create call; empty where there are no tags."""
    if not desired.tags:
        return {}
    tags = pairs(desired.tags)
    return {"TagSpecifications": [{"ResourceType": resource_type, "Tags": tags}]}


def retag(ec2: Any, resource_id: str, old: Desired, new: Desired) -> None:
    """Make the tags what they should be."""
    added, removed = tag_changes(old, new)
    if added:
        ec2.create_tags(Resources=[resource_id], Tags=pairs(added))
    if removed:
        ec2.delete_tags(Resources=[resource_id], Tags=[{"Key": key} for key in removed])
