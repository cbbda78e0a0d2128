"""AWS::EC2::LaunchTemplate."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import Desired, Handler, Made, Pace, Site
from flyback.rehearsal.cloudformation.resources.tagging_ec2 import retag

__all__ = ["LaunchTemplate"]


class LaunchTemplate(Handler):
    """A launch template; an update makes a new version and leaves the default version alone.

    CloudFormation puts neither the stack's tags nor its own on a launch template (its schema says
    `taggable: false`): what it carries comes from its TagSpecifications.
    """

    type = "AWS::EC2::LaunchTemplate"
    applies = frozenset(
        {"LaunchTemplateData", "LaunchTemplateName", "TagSpecifications", "VersionDescription"}
    )
    pace = Pace(create=3, update=3, delete=2)
    name_property = "LaunchTemplateName"
    gone = frozenset(
        {"InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"}
    )

    def create(self, site: Site, desired: Desired) -> Made:
        ec2 = site.client("ec2")
        found = ec2.create_launch_template(
            LaunchTemplateName=_name(site, desired), **_version(desired)
        )["LaunchTemplate"]
        made = site.claim(_made(found["LaunchTemplateId"], found))
        # after the creation, not with it: moto would write these tags into the version's data
        retag(ec2, made.physical_id, Desired(properties={}), _own(desired))
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ec2, template_id = site.client("ec2"), made.physical_id
        if new.differs(old, "LaunchTemplateData", "VersionDescription"):
            ec2.create_launch_template_version(LaunchTemplateId=template_id, **_version(new))
        retag(ec2, template_id, _own(old), _own(new))
        found = ec2.describe_launch_templates(LaunchTemplateIds=[template_id])["LaunchTemplates"]
        return _made(template_id, found[0])

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("ec2").delete_launch_template(LaunchTemplateId=made.physical_id)


def _name(site: Site, desired: Desired) -> str:
    return desired.get("LaunchTemplateName") or f"{site.logical_id}_{site.suffix}"


def _version(desired: Desired) -> dict[str, Any]:
    found = {"LaunchTemplateData": desired.get("LaunchTemplateData")}
    if desired.get("VersionDescription") is not None:
        found["VersionDescription"] = desired.get("VersionDescription")
    return found


def _made(template_id: str, found: dict[str, Any]) -> Made:
    return Made(
        physical_id=template_id,
        attributes={
            "DefaultVersionNumber": str(found["DefaultVersionNumber"]),
            "LatestVersionNumber": str(found["LatestVersionNumber"]),
            "LaunchTemplateId": template_id,
        },
    )


def _own(desired: Desired) -> Desired:
    tags = {
        tag["Key"]: tag["Value"]
        for item in desired.get("TagSpecifications", [])
        for tag in item.get("Tags", [])
    }
    return Desired(properties={}, tags=tags)
