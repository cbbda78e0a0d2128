"""AWS::EC2::SecurityGroup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    unless,
)
from flyback.rehearsal.cloudformation.resources.tagging_ec2 import retag, tagged

__all__ = ["SecurityGroup"]

_EVERYTHING_OUT = {"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}
_SETTLED = frozenset({"InvalidPermission.Duplicate", "InvalidPermission.NotFound"})
_GONE_STATES = frozenset({"shutting-down", "terminated"})


class SecurityGroup(Handler):
    """A security group with exactly the rules that the template declares.

    EC2 gives a new group a rule that lets everything out; CloudFormation takes it away where the
    template declares egress rules of its own, and puts it back where they go again.
    """

    type = "AWS::EC2::SecurityGroup"
    applies = frozenset(
        {
            "GroupDescription",
            "GroupName",
            "SecurityGroupEgress",
            "SecurityGroupIngress",
            "Tags",
            "VpcId",
        }
    )
    pace = Pace(create=7, update=7, delete=3)
    name_property = "GroupName"
    system_tags = True
    gone = frozenset({"InvalidGroup.NotFound", "InvalidGroupId.NotFound"})

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        name = site.name(desired.get("GroupName"), most=255)
        vpc = {"VpcId": desired.get("VpcId")} if desired.get("VpcId") else {}
        group_id = ec2.create_security_group(
            GroupName=name,
            Description=desired.get("GroupDescription"),
            **vpc,
            **tagged("security-group", desired),
        )["GroupId"]
        (found,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
        attributes = {
            "GroupId": group_id,
            "GroupName": name,
            "Id": group_id,
            "VpcId": found.get("VpcId", ""),
        }
        made = site.claim(Made(physical_id=group_id, attributes=attributes))
        self._rules(ec2, group_id, Desired(properties={}), desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2 = site.client("ec2")
        self._rules(ec2, made.physical_id, old, new)
        retag(ec2, made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        ec2, group_id = site.client("ec2"), made.physical_id
        if _used(ec2, group_id):
            raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object")
        ec2.delete_security_group(GroupId=group_id)

    @staticmethod
    def _rules(ec2: Any, group_id: str, old: Desired, new: Desired) -> None:
        for before, after, grant, revoke in (
            (
                _egress(old),
                _egress(new),
                ec2.authorize_security_group_egress,
                ec2.revoke_security_group_egress,
            ),
            (
                old.get("SecurityGroupIngress", []),
                new.get("SecurityGroupIngress", []),
                ec2.authorize_security_group_ingress,
                ec2.revoke_security_group_ingress,
            ),
        ):
            gone, added = _without(before, after), _without(after, before)
            if gone:
                permissions = [_permission(item) for item in gone]
                unless(_SETTLED, revoke, GroupId=group_id, IpPermissions=permissions)
            if added:
                permissions = [_permission(item) for item in added]
                unless(_SETTLED, grant, GroupId=group_id, IpPermissions=permissions)


def _egress(desired: Desired) -> list[Mapping[str, Any]]:
    return list(desired.get("SecurityGroupEgress") or [_EVERYTHING_OUT])


def _without(
    rules: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    there = {json.dumps(item, sort_keys=True) for item in others}
    return [item for item in rules if json.dumps(item, sort_keys=True) not in there]


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"IpProtocol": rule["IpProtocol"]}
    for name in ("FromPort", "ToPort"):
        if name in rule:
            found[name] = rule[name]
    about = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        found["IpRanges"] = [{"CidrIp": rule["CidrIp"], **about}]
    if "CidrIpv6" in rule:
        found["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **about}]
    for name in ("DestinationPrefixListId", "SourcePrefixListId"):
        if name in rule:
            found["PrefixListIds"] = [{"PrefixListId": rule[name], **about}]
    for name in ("DestinationSecurityGroupId", "SourceSecurityGroupId"):
        if name in rule:
            found["UserIdGroupPairs"] = [{"GroupId": rule[name], **_owner(rule), **about}]
    if "SourceSecurityGroupName" in rule:
        pair = {"GroupName": rule["SourceSecurityGroupName"], **_owner(rule), **about}
        found["UserIdGroupPairs"] = [pair]
    return found


def _owner(rule: Mapping[str, Any]) -> dict[str, Any]:
    owner = rule.get("SourceSecurityGroupOwnerId")
    return {"UserId": owner} if owner else {}


def _used(ec2: Any, group_id: str) -> bool:
    """Whether an interface of a live machine carries it, or another group's rule names it."""
    filters = [{"Name": "group-id", "Values": [group_id]}]
    for item in ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
        instance = item.get("Attachment", {}).get("InstanceId")
        if not instance or not _terminated(ec2, instance):
            return True
    groups = ec2.describe_security_groups()["SecurityGroups"]
    return any(
        pair.get("GroupId") == group_id
        for group in groups
        if group["GroupId"] != group_id
        for rule in [*group["IpPermissions"], *group["IpPermissionsEgress"]]
        for pair in rule.get("UserIdGroupPairs", [])
    )


def _terminated(ec2: Any, instance_id: str) -> bool:
    filters = [{"Name": "instance-id", "Values": [instance_id]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    states = [item["State"]["Name"] for entry in found for item in entry["Instances"]]
    return all(state in _GONE_STATES for state in states)
