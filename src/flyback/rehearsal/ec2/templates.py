"""Launch templates, expanded: what RunInstances would have been asked without one.

moto drops market options, profile, metadata options and shutdown behaviour of a template; so a
template is resolved here and moto only sees a direct request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyback.rehearsal.call import AwsError

__all__ = ["expand", "resolve", "with_override"]

# Request fields that name the launch, not the machine.
_REQUEST_ONLY = frozenset(
    {"LaunchTemplate", "ClientToken", "DryRun", "MinCount", "MaxCount", "AdditionalInfo"}
)
# Override fields of a fleet that decide between pools, not about the machine.
_POOL_ONLY = frozenset({"MaxPrice", "Priority", "WeightedCapacity", "AvailabilityZone"})
_MERGED = frozenset({"MetadataOptions", "Placement", "InstanceMarketOptions"})


def resolve(state: Any, spec: Mapping[str, Any]) -> tuple[str, int, dict[str, Any]]:
    """Find a template's version.

    Args:
        state: moto's EC2 of the region.
        spec: `LaunchTemplateId` or `LaunchTemplateName`, and maybe `Version`.

    Returns:
        Its id, the version's number and the version's data.

    Raises:
        AwsError: there is no such template or version.
    """
    template_id = spec.get("LaunchTemplateId")
    name = spec.get("LaunchTemplateName")
    if not template_id and not name:
        raise AwsError("MissingParameter", "Either a launch template ID or a name is required")
    if not template_id:
        template_id = state.launch_template_name_to_ids.get(name)
        if template_id is None:
            raise AwsError(
                "InvalidLaunchTemplateName.NotFoundException",
                f"The specified launch template, with template name {name}, does not exist.",
            )
    template = state.launch_templates.get(template_id)
    if template is None:
        raise AwsError(
            "InvalidLaunchTemplateId.NotFound",
            f"The specified launch template, with template ID {template_id}, does not exist.",
        )
    version = _version(template, str(spec.get("Version") or "$Default"))
    data = {key: value for key, value in version.data.items() if value not in (None, "")}
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])  # moto wraps it
    return str(template.id), int(version.number), data


def _version(template: Any, wanted: str) -> Any:
    if wanted == "$Latest":
        return template.latest_version()
    if wanted == "$Default":
        return template.default_version()
    for version in template.versions:
        if str(version.number) == wanted:
            return version
    raise AwsError(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {wanted} for the launch template with ID "
        f"{template.id}.",
    )


def expand(data: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a request over a template's data; what the request says wins.

    Tags join by resource type, block devices by device name; metadata options, placement and
    market options field by field; everything else is replaced whole.

    Raises:
        AwsError: a network interface and a subnet or security groups beside it.
    """
    asked = {key: value for key, value in request.items() if key not in _REQUEST_ONLY}
    merged = {**data, **asked}
    for key in _MERGED & set(data) & set(asked):
        merged[key] = {**data[key], **asked[key]}
    merged["TagSpecifications"] = _tags(
        data.get("TagSpecifications", ()), asked.get("TagSpecifications", ())
    )
    merged["BlockDeviceMappings"] = _devices(
        data.get("BlockDeviceMappings", ()), asked.get("BlockDeviceMappings", ())
    )
    if merged.get("NetworkInterfaces"):
        for key, noun in (("SubnetId", "subnet ID"), ("SecurityGroupIds", "security groups")):
            if merged.get(key):
                raise AwsError(
                    "InvalidParameterCombination",
                    f"Network interfaces and an instance-level {noun} may not be specified on "
                    "the same request",
                )
    return merged


def with_override(data: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a fleet's override over a template's data.

    A subnet goes into the template's primary network interface where it has one.
    """
    changes = {key: value for key, value in override.items() if key not in _POOL_ONLY}
    interfaces = [dict(item) for item in data.get("NetworkInterfaces", ())]
    if interfaces and "SubnetId" in changes:
        interfaces[0]["SubnetId"] = changes.pop("SubnetId")
        data = {**data, "NetworkInterfaces": interfaces}
    if "AvailabilityZone" in override:
        changes["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
    return expand(data, changes)


def _tags(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    joined: dict[str, dict[str, str]] = {}
    for item in (*first, *second):
        kind = joined.setdefault(item["ResourceType"], {})
        kind.update({tag["Key"]: tag["Value"] for tag in item.get("Tags", ())})
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
        for kind, tags in joined.items()
        if kind != "launch-template"  # moto keeps the template's own tags among its data
    ]


def _devices(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    joined: dict[str, dict[str, Any]] = {}
    for item in (*first, *second):
        before = joined.get(item["DeviceName"], {})
        ebs = {**before.get("Ebs", {}), **item.get("Ebs", {})}
        joined[item["DeviceName"]] = {**before, **item, **({"Ebs": ebs} if ebs else {})}
    return list(joined.values())
