"""What IAM is asked when machines are launched, by RunInstances or by a fleet.

Each resource that takes part is asked about on its own. Sources: EC2 user guide, "Example policies
for working with the Amazon EC2 API" (RunInstances), "EC2 Fleet prerequisites" (a fleet needs
RunInstances, CreateTags and PassRole), "Grant permission to tag resources during creation";
service authorization reference, Amazon EC2 (CreateFleet, RunInstances: resources, keys, dependent
actions). That RunInstances is asked about the spot request too: EC2 user guide, "Tag Spot Instance
requests" (concepts-spot-instances-request-tags.html); that it is for an untagged instant fleet,
nobody says, and the stricter reading is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flyback.audit.iam.needs import (
    BUILDERS,
    Called,
    Facts,
    Need,
    Row,
    as_tags,
    ec2_arn,
    tag_context,
    tags_at_creation,
)

__all__ = ["launch_needs"]

Context = dict[str, str | tuple[str, ...]]

_RESOLVE = "resolve:ssm:"


def launch_needs(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    """Every question about a CreateFleet or a RunInstances."""
    del row
    if called.operation == "RunInstances":
        wanted = called.params.get("LaunchTemplate")
        name, data = facts.launch_template(wanted) if wanted else ("", {})
        yield from _of_machines(called, facts, name, [{**data, **called.params}])
        options = {**data, **called.params}.get("InstanceMarketOptions") or {}
        if options.get("MarketType") == "spot":
            yield _of_spot(called)
        return
    specifications = called.params.get("TagSpecifications", ())
    yield from _of_fleet(called, specifications)
    for config in called.params.get("LaunchTemplateConfigs", ()):
        name, data = facts.launch_template(config.get("LaunchTemplateSpecification", {}))
        overrides = config.get("Overrides") or [{}]
        tagged = [*data.get("TagSpecifications", ()), *specifications]
        merged = [{**data, **override, "TagSpecifications": tagged} for override in overrides]
        yield from _fleet_parts(called, name, merged)
        yield from _of_machines(called, facts, name, merged)
    wanted = called.params.get("TargetCapacitySpecification", {})
    if wanted.get("DefaultTargetCapacityType") == "spot" or wanted.get("SpotTargetCapacity"):
        yield _of_spot(called)


def _of_spot(called: Called) -> Need:
    """The spot request that is made on the way; CreateFleet can't tag it."""
    arn = called.arn("ec2", "spot-instances-request/*")
    return Need(action="ec2:RunInstances", resource=arn)


def _of_fleet(called: Called, specifications: Any) -> Iterator[Need]:
    own = [item for item in specifications if item.get("ResourceType") == "fleet"]
    yield Need(
        action="ec2:CreateFleet",
        resource=called.arn("ec2", "fleet/*"),
        context=tag_context(_tags(own, "fleet")),
    )
    yield from tags_at_creation(called, own)


def _fleet_parts(called: Called, template: str, machines: list[dict[str, Any]]) -> Iterator[Need]:
    """CreateFleet itself, on what the service authorization reference lists for it."""
    tags = _tags(machines[0].get("TagSpecifications", ()), "instance")
    arns = {called.arn("ec2", "instance/*"): tag_context(tags)}
    if template:
        arns[called.arn("ec2", f"launch-template/{template}")] = {}
    for machine in machines:
        for key in ("ImageId", "SubnetId"):
            if machine.get(key) and not str(machine[key]).startswith(_RESOLVE):
                arns[ec2_arn(called, machine[key])] = {}
    for arn, context in arns.items():
        yield Need(action="ec2:CreateFleet", resource=arn, context=context)


def _of_machines(
    called: Called, facts: Facts, template: str, machines: list[dict[str, Any]]
) -> Iterator[Need]:
    shared: Context = {"ec2:IsLaunchTemplateResource": "false"}
    if template:
        arn = called.arn("ec2", f"launch-template/{template}")
        shared = {"ec2:LaunchTemplate": arn}
    seen: set[tuple[str, str]] = set()
    for machine in machines:
        for resource, own in _parts(called, machine, template):
            key = (resource, repr(sorted(own.items())))
            if key not in seen:
                seen.add(key)
                context = {**shared, **own}
                yield Need(action="ec2:RunInstances", resource=resource, context=context)
    run = _renamed(called)
    for kind, tags in _tags_by_kind(machines[0]).items():
        yield from tags_at_creation(run, [{"ResourceType": kind, "Tags": tags}])
    yield from _dependent(called, facts, machines[0])


def _parts(
    called: Called, machine: Mapping[str, Any], template: str
) -> Iterator[tuple[str, Context]]:
    """Every resource that takes part in a launch, with its own condition keys."""
    tags = _tags_by_kind(machine)
    image = str(machine.get("ImageId", ""))
    if image and not image.startswith(_RESOLVE):
        yield ec2_arn(called, image), {"ec2:ImageID": image}
    yield called.arn("ec2", "instance/*"), {**_instance(machine), **tag_context(tags["instance"])}
    if template:
        yield called.arn("ec2", f"launch-template/{template}"), {}
    interfaces = machine.get("NetworkInterfaces", ())
    public = [item["AssociatePublicIpAddress"] for item in interfaces if _says_public(item)]
    own = tag_context(tags["network-interface"])
    if public:
        own["ec2:AssociatePublicIpAddress"] = str(public[0]).lower()
    yield called.arn("ec2", "network-interface/*"), own
    groups = [group for item in interfaces for group in item.get("Groups", ())]
    for group in [*machine.get("SecurityGroupIds", ()), *groups]:
        yield called.arn("ec2", f"security-group/{group}"), {"ec2:SecurityGroupID": group}
    subnets = [machine.get("SubnetId"), *(item.get("SubnetId") for item in interfaces)]
    for subnet in filter(None, subnets):
        yield called.arn("ec2", f"subnet/{subnet}"), {"ec2:SubnetID": str(subnet)}
    for disk in _disks(machine):
        yield called.arn("ec2", "volume/*"), {**disk, **tag_context(tags["volume"])}


def _says_public(interface: Mapping[str, Any]) -> bool:
    return interface.get("AssociatePublicIpAddress") is not None


def _instance(machine: Mapping[str, Any]) -> Context:
    context: Context = {}
    if machine.get("InstanceType"):
        context["ec2:InstanceType"] = str(machine["InstanceType"])
    profile = machine.get("IamInstanceProfile") or {}
    if profile.get("Arn"):
        context["ec2:InstanceProfile"] = str(profile["Arn"])
    options = machine.get("MetadataOptions") or {}
    for key, name in (
        ("ec2:MetadataHttpTokens", "HttpTokens"),
        ("ec2:MetadataHttpEndpoint", "HttpEndpoint"),
        ("ec2:MetadataHttpPutResponseHopLimit", "HttpPutResponseHopLimit"),
    ):
        if name in options:
            context[key] = str(options[name])
    return context


def _disks(machine: Mapping[str, Any]) -> list[Context]:
    disks: list[Context] = []
    for mapping in machine.get("BlockDeviceMappings", ()):
        disk = mapping.get("Ebs") or {}
        disks.append(
            {
                key: str(disk[name]).lower()
                for key, name in (
                    ("ec2:Encrypted", "Encrypted"),
                    ("ec2:VolumeSize", "VolumeSize"),
                    ("ec2:VolumeType", "VolumeType"),
                )
                if name in disk
            }
        )
    return disks or [{}]


def _dependent(called: Called, facts: Facts, machine: Mapping[str, Any]) -> Iterator[Need]:
    profile = machine.get("IamInstanceProfile") or {}
    role = facts.profile_role(profile) if profile else ""
    if role:
        yield Need(
            action="iam:PassRole",
            resource=role,
            context={"iam:PassedToService": "ec2.amazonaws.com"},
        )
    image = str(machine.get("ImageId", ""))
    if image.startswith(_RESOLVE):
        name = image.removeprefix(_RESOLVE).partition(":")[0].lstrip("/")
        arn = called.arn("ssm", f"parameter/{name}")
        if name.startswith("aws/service/"):
            arn = arn.replace(f":{called.account}:", "::")
        yield Need(action="ssm:GetParameters", resource=arn)


def _tags(specifications: Any, kind: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for item in specifications or ():
        if item.get("ResourceType") == kind:
            tags.update(as_tags(item.get("Tags", ())))
    return tags


def _tags_by_kind(machine: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    specifications = machine.get("TagSpecifications", ())
    return {
        kind: _tags(specifications, kind) for kind in ("instance", "volume", "network-interface")
    }


def _renamed(called: Called) -> Called:
    """A fleet's machines are tagged while RunInstances makes them."""
    return Called(
        service=called.service,
        operation="RunInstances",
        params=called.params,
        region=called.region,
        account=called.account,
        partition=called.partition,
    )


BUILDERS["@launch"] = launch_needs
