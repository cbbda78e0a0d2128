"""What IAM is asked when machines are launched, by RunInstances or by a fleet.

Each resource that takes part is asked about on its own. Sources: EC2 user guide, "Example policies
for working with the Amazon EC2 API" (RunInstances), "EC2 Fleet prerequisites" (a fleet needs
RunInstances, CreateTags and PassRole), "Grant permission to tag resources during creation";
service authorization reference, Amazon EC2 (CreateFleet, RunInstances: resources, keys, dependent
actions). A key whose value the request leaves to EC2 is set where AWS documents what EC2 takes.
That RunInstances is asked about the spot request too: EC2 user guide, "Tag Spot Instance requests"
(concepts-spot-instances-request-tags.html); that it is for an untagged instant fleet, nobody says,
and the stricter reading is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flyback.audit.iam.facts import Facts
from flyback.audit.iam.needs import (
    BUILDERS,
    Called,
    Need,
    Row,
    as_tags,
    ec2_arn,
    tag_context,
    tags_at_creation,
    values_at,
)

__all__ = ["launch_needs"]

Context = dict[str, str | tuple[str, ...]]
Machine = Mapping[str, Any]

_RESOLVE = "resolve:ssm:"
# Condition key → where the request says it, of an instance and of a volume.
_INSTANCE = {
    "ec2:CpuOptionsAmdSevSnp": "CpuOptions.AmdSevSnp",
    "ec2:InstanceAutoRecovery": "MaintenanceOptions.AutoRecovery",
    "ec2:InstanceBandwidthWeighting": "NetworkPerformanceOptions.BandwidthWeighting",
    "ec2:InstanceMetadataTags": "MetadataOptions.InstanceMetadataTags",
    "ec2:InstanceType": "InstanceType",
    "ec2:MetadataHttpEndpoint": "MetadataOptions.HttpEndpoint",
    "ec2:MetadataHttpPutResponseHopLimit": "MetadataOptions.HttpPutResponseHopLimit",
    "ec2:MetadataHttpTokens": "MetadataOptions.HttpTokens",
}
_VOLUME = {
    "ec2:Encrypted": "Encrypted",
    "ec2:KmsKeyId": "KmsKeyId",
    "ec2:VolumeInitializationRate": "VolumeInitializationRate",
    "ec2:VolumeIops": "Iops",
    "ec2:VolumeSize": "VolumeSize",
    "ec2:VolumeThroughput": "Throughput",
    "ec2:VolumeType": "VolumeType",
}
# Keys of an instance that CreateFleet itself does not take (service authorization reference).
_NOT_OF_FLEETS = (
    "ec2:InstanceAutoRecovery",
    "ec2:InstanceMarketType",
    "ec2:InstanceMetadataTags",
    "ec2:Metadata",
)
_ZONE = ("ec2:AvailabilityZone", "ec2:AvailabilityZoneId")


@dataclass(frozen=True, kw_only=True)
class _Launch:
    """One way in which machines may be launched.

    Args:
        called: By which call.
        facts: Of the account.
        template: Id of the launch template; empty where there is none.
        machine: What is asked for, the template's data included.
        market: `spot`, `on-demand` or `capacity-block`.
        subnet: Where; empty where unknown.
    """

    called: Called
    facts: Facts
    template: str
    machine: Machine
    market: str
    subnet: str = ""

    @property
    def image(self) -> str:
        """Id of the image; empty where unknown."""
        named = str(self.machine.get("ImageId", ""))
        return self.facts.image(named) if named else ""

    def placed(self) -> Iterator[_Launch]:
        """In each subnet that it may come to: those named, or every default one that EC2 may take.

        Source: EC2 user guide, "Launch parameters" (without a subnet, a default one is taken).
        """
        named = _subnets(self.machine)
        zones = values_at(self.machine, "AvailabilityZone")
        zones += values_at(self.machine, "Placement.AvailabilityZone")
        zone = zones[0] if zones else ""
        for subnet in named[:1] or self.facts.default_subnets(zone) or ("",):
            yield replace(self, subnet=subnet)

    def zone(self) -> Context:
        """Keys of the availability zone."""
        found = self.facts.attributes(self.arn("subnet", self.subnet)) if self.subnet else {}
        return {key: found[key] for key in _ZONE if key in found}

    def arn(self, kind: str, identifier: str = "*") -> str:
        """ARN of a resource that takes part."""
        return self.called.arn("ec2", f"{kind}/{identifier}")


def launch_needs(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    """Every question about a CreateFleet or a RunInstances."""
    del row
    if called.operation == "RunInstances":
        wanted = called.params.get("LaunchTemplate")
        name, data = facts.launch_template(wanted) if wanted else ("", {})
        machine = {**data, **called.params}
        market = (machine.get("InstanceMarketOptions") or {}).get("MarketType") or "on-demand"
        yield from _of_machines(called, facts, name, [machine], (market,))
        if market == "spot":
            yield _of_spot(called)
        return
    specifications = called.params.get("TagSpecifications", ())
    markets = _markets(called)
    yield from _of_fleet(called, specifications)
    for config in called.params.get("LaunchTemplateConfigs", ()):
        name, data = facts.launch_template(config.get("LaunchTemplateSpecification", {}))
        overrides = config.get("Overrides") or [{}]
        tagged = [*data.get("TagSpecifications", ()), *specifications]
        merged = [{**data, **override, "TagSpecifications": tagged} for override in overrides]
        yield from _fleet_parts(called, facts, name, merged)
        yield from _of_machines(called, facts, name, merged, markets)
    if "spot" in markets:
        yield _of_spot(called)


def _markets(called: Called) -> tuple[str, ...]:
    """The markets from which a fleet may take its machines."""
    wanted = called.params.get("TargetCapacitySpecification", {})
    parts = (("spot", "SpotTargetCapacity"), ("on-demand", "OnDemandTargetCapacity"))
    found = {market for market, part in parts if wanted.get(part)}
    if wanted.get("DefaultTargetCapacityType"):
        found.add(str(wanted["DefaultTargetCapacityType"]))
    return tuple(sorted(found)) or ("on-demand",)


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


def _fleet_parts(
    called: Called, facts: Facts, template: str, machines: list[dict[str, Any]]
) -> Iterator[Need]:
    """CreateFleet itself, on what the service authorization reference lists for it."""
    asked: dict[str, Need] = {}
    for machine in machines:
        whole = _Launch(called=called, facts=facts, template=template, machine=machine, market="")
        for launch in whole.placed():
            own = _instance(launch)
            listed = {key: own[key] for key in own if not key.startswith(_NOT_OF_FLEETS)}
            listed |= tag_context(_tags_by_kind(machine)["instance"])
            found: dict[str, Context] = {launch.arn("instance"): listed}
            if template:
                found[launch.arn("launch-template", template)] = {}
            if launch.image:
                found[ec2_arn(called, launch.image)] = {}
            if machine.get("SubnetId"):
                found[launch.arn("subnet", machine["SubnetId"])] = {}
            for arn, context in found.items():
                need = Need(action="ec2:CreateFleet", resource=arn, context=context)
                asked.setdefault(f"{arn} {sorted(context.items())}", need)
    yield from asked.values()


def _of_machines(
    called: Called,
    facts: Facts,
    template: str,
    machines: list[dict[str, Any]],
    markets: tuple[str, ...],
) -> Iterator[Need]:
    seen: set[tuple[str, str]] = set()
    for machine in machines:
        for market in markets:
            whole = _Launch(
                called=called, facts=facts, template=template, machine=machine, market=market
            )
            for launch in whole.placed():
                for need in _asked(launch):
                    key = (need.resource, repr(sorted(need.context.items())))
                    if key not in seen:
                        seen.add(key)
                        yield need
    run = replace(called, operation="RunInstances")  # which tags a fleet's machines too
    for kind, tags in _tags_by_kind(machines[0]).items():
        yield from tags_at_creation(run, [{"ResourceType": kind, "Tags": tags}])
    yield from _dependent(called, facts, machines[0])


def _asked(launch: _Launch) -> Iterator[Need]:
    """RunInstances on every resource that takes part, with its own condition keys."""
    shared: Context = {"ec2:IsLaunchTemplateResource": "false"}
    if launch.template:
        shared = {"ec2:LaunchTemplate": launch.arn("launch-template", launch.template)}
    for resource, own in (*_made(launch), *_used(launch)):
        yield Need(action="ec2:RunInstances", resource=resource, context={**shared, **own})


def _made(launch: _Launch) -> Iterator[tuple[str, Context]]:
    """What a launch makes."""
    tags = _tags_by_kind(launch.machine)
    yield launch.arn("instance"), {**_instance(launch), **tag_context(tags["instance"])}
    interfaces = launch.machine.get("NetworkInterfaces") or ()
    public = [item["AssociatePublicIpAddress"] for item in interfaces if _says_public(item)]
    own = {**launch.zone(), **tag_context(tags["network-interface"])}
    own.pop("ec2:AvailabilityZoneId", None)  # which an interface does not have
    if public:
        own["ec2:AssociatePublicIpAddress"] = str(public[0]).lower()
    if launch.subnet:
        arn = own["ec2:Subnet"] = launch.arn("subnet", launch.subnet)
        network = launch.facts.attributes(arn).get("ec2:Vpc")
        own.update({"ec2:Vpc": network} if network else {})
    yield launch.arn("network-interface"), own
    for disk in _disks(launch):
        yield launch.arn("volume"), {**disk, **launch.zone(), **tag_context(tags["volume"])}


def _used(launch: _Launch) -> Iterator[tuple[str, Context]]:
    """What is there already and takes part in a launch."""
    machine = launch.machine
    if launch.image:
        yield ec2_arn(launch.called, launch.image), {"ec2:ImageID": launch.image}
    if launch.template:
        yield launch.arn("launch-template", launch.template), {}
    groups = values_at(machine, "SecurityGroupIds") + values_at(machine, "NetworkInterfaces.Groups")
    default = launch.facts.default_group(launch.subnet) if launch.subnet and not groups else ""
    for group in filter(None, groups or [default]):
        yield launch.arn("security-group", group), {"ec2:SecurityGroupID": group}
    for subnet in dict.fromkeys(filter(None, (launch.subnet, *_subnets(machine)))):
        yield launch.arn("subnet", subnet), {"ec2:SubnetID": subnet}
    if machine.get("KeyName"):
        pair = str(machine["KeyName"])
        yield launch.arn("key-pair", pair), {"ec2:KeyPairName": pair}
    for group in values_at(machine, "Placement.GroupName"):
        yield launch.arn("placement-group", group), {"ec2:PlacementGroupName": group}
    for snapshot in values_at(machine, "BlockDeviceMappings.Ebs.SnapshotId"):
        yield ec2_arn(launch.called, snapshot), {"ec2:SnapshotID": snapshot}


def _subnets(machine: Machine) -> list[str]:
    return values_at(machine, "SubnetId") + values_at(machine, "NetworkInterfaces.SubnetId")


def _says_public(interface: Mapping[str, Any]) -> bool:
    return interface.get("AssociatePublicIpAddress") is not None


def _instance(launch: _Launch) -> Context:
    machine = launch.machine
    context: Context = {**launch.zone(), **_said(machine, _INSTANCE)}
    context["ec2:EbsOptimized"] = str(bool(machine.get("EbsOptimized"))).lower()
    context["ec2:Tenancy"] = next(iter(values_at(machine, "Placement.Tenancy")), "default")
    if launch.market:
        context["ec2:InstanceMarketType"] = launch.market
    for group in values_at(machine, "Placement.GroupName"):
        context["ec2:PlacementGroup"] = launch.arn("placement-group", group)
    profile = machine.get("IamInstanceProfile") or {}
    if profile.get("Name"):
        iam = f"arn:{launch.called.partition}:iam::{launch.called.account}"
        named = f"{iam}:instance-profile/{profile['Name']}"
        context["ec2:InstanceProfile"] = launch.facts.canonical(named)
    if profile.get("Arn"):
        context["ec2:InstanceProfile"] = str(profile["Arn"])
    if launch.image:
        image = launch.facts.attributes(ec2_arn(launch.called, launch.image))
        if "ec2:RootDeviceType" in image:
            context["ec2:RootDeviceType"] = image["ec2:RootDeviceType"]
    return context


def _disks(launch: _Launch) -> list[Context]:
    disks: list[Context] = []
    for mapping in launch.machine.get("BlockDeviceMappings", ()):
        disk = mapping.get("Ebs") or {}
        keys = _said(disk, _VOLUME)
        if disk.get("SnapshotId"):
            keys["ec2:ParentSnapshot"] = ec2_arn(launch.called, disk["SnapshotId"])
        disks.append(keys)
    return disks or [{}]


def _said(request: Mapping[str, Any], keys: Mapping[str, str]) -> Context:
    """The keys whose values a request states."""
    found = {key: values_at(request, path) for key, path in keys.items()}
    return {key: values[0] for key, values in found.items() if values}


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


BUILDERS["@launch"] = launch_needs
