"""AWS::IAM::Role, InstanceProfile and ManagedPolicy."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
    pairs,
    tag_changes,
    unless,
)

__all__ = ["InstanceProfile", "ManagedPolicy", "Role"]

_GONE = frozenset({"NoSuchEntity"})
_MOST_VERSIONS = 5
_DEFAULT_SESSION_S = 3600


class Role(Handler):
    """A role with its inline and attached policies."""

    type = "AWS::IAM::Role"
    applies = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )
    pace = Pace(create=17, update=15, delete=2)
    name_property = "RoleName"
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        iam = site.client("iam")
        name = site.name(desired.get("RoleName"), most=64)
        names = ("Description", "MaxSessionDuration", "Path", "PermissionsBoundary")
        given = {key: desired.get(key) for key in names if desired.get(key) is not None}
        found = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=as_document(desired.get("AssumeRolePolicyDocument")),
            Tags=pairs(desired.tags),
            **given,
        )["Role"]
        attributes = {"Arn": found["Arn"], "RoleId": found["RoleId"]}
        made = site.claim(Made(physical_id=name, attributes=attributes))
        self._policies(iam, name, Desired(properties={}), desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        iam, name = site.client("iam"), made.physical_id
        if new.differs(old, "AssumeRolePolicyDocument"):
            trust = as_document(new.get("AssumeRolePolicyDocument"))
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        if new.differs(old, "Description", "MaxSessionDuration"):
            iam.update_role(
                RoleName=name,
                Description=new.get("Description", ""),
                MaxSessionDuration=new.get("MaxSessionDuration", _DEFAULT_SESSION_S),
            )
        if new.differs(old, "PermissionsBoundary"):
            boundary = new.get("PermissionsBoundary")
            if boundary is None:
                unless(_GONE, iam.delete_role_permissions_boundary, RoleName=name)
            else:
                iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
        self._policies(iam, name, old, new)
        added, removed = tag_changes(old, new)
        if added:
            iam.tag_role(RoleName=name, Tags=pairs(added))
        if removed:
            iam.untag_role(RoleName=name, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        iam, name = site.client("iam"), made.physical_id
        declared = set(last.get("ManagedPolicyArns", []))
        for item in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            if item["PolicyArn"] in declared:
                iam.detach_role_policy(RoleName=name, PolicyArn=item["PolicyArn"])
        for inline in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            if inline in _inline(last):
                iam.delete_role_policy(RoleName=name, PolicyName=inline)
        iam.delete_role(RoleName=name)

    @staticmethod
    def _policies(iam: Any, name: str, old: Desired, new: Desired) -> None:
        before, after = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(before - after):
            unless(_GONE, iam.detach_role_policy, RoleName=name, PolicyArn=arn)
        for arn in sorted(after - before):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        was, now = _inline(old), _inline(new)
        for policy in sorted(set(was) - set(now)):
            unless(_GONE, iam.delete_role_policy, RoleName=name, PolicyName=policy)
        for policy, document in sorted(now.items()):
            if was.get(policy) != document:
                iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)


class InstanceProfile(Handler):
    """An instance profile; CloudFormation takes about two minutes over one, as IAM spreads it."""

    type = "AWS::IAM::InstanceProfile"
    applies = frozenset({"InstanceProfileName", "Path", "Roles"})
    pace = Pace(create=120, update=120, delete=2)
    name_property = "InstanceProfileName"
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        iam = site.client("iam")
        name = site.name(desired.get("InstanceProfileName"), most=128)
        path = {"Path": desired.get("Path")} if desired.get("Path") else {}
        found = iam.create_instance_profile(InstanceProfileName=name, **path)["InstanceProfile"]
        made = site.claim(Made(physical_id=name, attributes={"Arn": found["Arn"]}))
        self._roles(iam, name, Desired(properties={}), desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        self._roles(site.client("iam"), made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        iam, name = site.client("iam"), made.physical_id
        found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        for role in found["Roles"]:
            if role["RoleName"] in last.get("Roles", []):
                iam.remove_role_from_instance_profile(
                    InstanceProfileName=name, RoleName=role["RoleName"]
                )
        iam.delete_instance_profile(InstanceProfileName=name)

    @staticmethod
    def _roles(iam: Any, name: str, old: Desired, new: Desired) -> None:
        before, after = set(old.get("Roles", [])), set(new.get("Roles", []))
        for role in sorted(before - after):
            unless(
                _GONE,
                iam.remove_role_from_instance_profile,
                InstanceProfileName=name,
                RoleName=role,
            )
        for role in sorted(after - before):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)


class ManagedPolicy(Handler):
    """A customer managed policy with its attachments."""

    type = "AWS::IAM::ManagedPolicy"
    applies = frozenset(
        {"Description", "Groups", "ManagedPolicyName", "Path", "PolicyDocument", "Roles", "Users"}
    )
    pace = Pace(create=16, update=16, delete=2)
    name_property = "ManagedPolicyName"
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        iam = site.client("iam")
        given = {key: desired.get(key) for key in ("Description", "Path") if desired.get(key)}
        found = iam.create_policy(
            PolicyName=site.name(desired.get("ManagedPolicyName"), most=128),
            PolicyDocument=as_document(desired.get("PolicyDocument")),
            **given,
        )["Policy"]
        attributes = {"PolicyArn": found["Arn"], "PolicyId": found["PolicyId"]}
        made = site.claim(Made(physical_id=found["Arn"], attributes=attributes))
        self._attach(iam, found["Arn"], Desired(properties={}), desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        iam, arn = site.client("iam"), made.physical_id
        if new.differs(old, "PolicyDocument"):
            versions = _spare_versions(iam, arn)
            if len(versions) + 1 >= _MOST_VERSIONS:
                iam.delete_policy_version(PolicyArn=arn, VersionId=versions[0])
            document = as_document(new.get("PolicyDocument"))
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        self._attach(iam, arn, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        iam, arn = site.client("iam"), made.physical_id
        iam.get_policy(PolicyArn=arn)
        self._attach(iam, arn, last, Desired(properties={}))
        held = iam.list_entities_for_policy(PolicyArn=arn)
        if any(held.get(kind) for kind in ("PolicyGroups", "PolicyRoles", "PolicyUsers")):
            sentence = "Cannot delete a policy attached to entities."
            raise AwsError("DeleteConflict", sentence, 409)
        for version in _spare_versions(iam, arn):
            iam.delete_policy_version(PolicyArn=arn, VersionId=version)
        iam.delete_policy(PolicyArn=arn)

    @staticmethod
    def _attach(iam: Any, arn: str, old: Desired, new: Desired) -> None:
        for kind, name, attach, detach in (
            ("Groups", "GroupName", iam.attach_group_policy, iam.detach_group_policy),
            ("Roles", "RoleName", iam.attach_role_policy, iam.detach_role_policy),
            ("Users", "UserName", iam.attach_user_policy, iam.detach_user_policy),
        ):
            before, after = set(old.get(kind, [])), set(new.get(kind, []))
            for entity in sorted(before - after):
                unless(_GONE, detach, **{name: entity, "PolicyArn": arn})
            for entity in sorted(after - before):
                attach(**{name: entity, "PolicyArn": arn})


def _inline(desired: Desired) -> dict[str, str]:
    return {
        item["PolicyName"]: as_document(item["PolicyDocument"])
        for item in desired.get("Policies", [])
    }


def _spare_versions(iam: Any, arn: str) -> list[str]:
    """Versions other than the default one, oldest first."""
    found = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    spare = [item["VersionId"] for item in found if not item["IsDefaultVersion"]]
    return sorted(spare, key=lambda version: int(version[1:]))
