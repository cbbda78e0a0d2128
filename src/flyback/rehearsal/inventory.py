"""All that the emulated account holds, so that two moments can be compared whole.

Read through the API, as an auditor would, not from moto's own objects. What changes by itself
(times of last use, machines that are gone) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from flyback.rehearsal.moto_state import ACCOUNT

__all__ = ["take_inventory"]

VIA = "inventory"


class ClientFactory(Protocol):
    """Makes boto3 clients of the emulated account."""

    def __call__(self, service: str, region: str, via: str = "") -> Any:
        """A boto3 client."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One kind of resource of a region.

    Args:
        name: `service:resource`.
        operation: boto3's method that lists it.
        member: Where in the answer the resources stand.
        key: What identifies one.
        params: Of the request.
    """

    name: str
    operation: str
    member: str
    key: str
    params: Mapping[str, Any]


def _kind(name: str, operation: str, member: str, key: str, **params: Any) -> _Kind:
    return _Kind(name=name, operation=operation, member=member, key=key, params=params)


_LIVING = ("pending", "running", "shutting-down", "stopping", "stopped")
_OWN = ["self"]

_REGIONAL: tuple[_Kind, ...] = (
    _kind(
        "ec2:instance",
        "describe_instances",
        "Reservations",
        "ReservationId",
        Filters=[{"Name": "instance-state-name", "Values": list(_LIVING)}],
    ),
    _kind("ec2:volume", "describe_volumes", "Volumes", "VolumeId"),
    _kind(
        "ec2:snapshot",
        "describe_snapshots",
        "Snapshots",
        "SnapshotId",
        Filters=[{"Name": "owner-id", "Values": [ACCOUNT]}],
    ),
    _kind("ec2:image", "describe_images", "Images", "ImageId", Owners=_OWN),
    _kind(
        "ec2:network-interface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
    ),
    _kind("ec2:vpc", "describe_vpcs", "Vpcs", "VpcId"),
    _kind("ec2:subnet", "describe_subnets", "Subnets", "SubnetId"),
    _kind("ec2:security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    _kind("ec2:route-table", "describe_route_tables", "RouteTables", "RouteTableId"),
    _kind(
        "ec2:internet-gateway",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
    ),
    _kind("ec2:nat-gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    _kind("ec2:vpc-endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    _kind("ec2:address", "describe_addresses", "Addresses", "PublicIp"),
    _kind("ec2:key-pair", "describe_key_pairs", "KeyPairs", "KeyPairId"),
    _kind(
        "ec2:spot-request",
        "describe_spot_instance_requests",
        "SpotInstanceRequests",
        "SpotInstanceRequestId",
        Filters=[{"Name": "state", "Values": ["open", "active"]}],
    ),
    _kind("logs:log-group", "describe_log_groups", "logGroups", "logGroupName"),
    _kind("lambda:function", "list_functions", "Functions", "FunctionArn"),
    _kind("scheduler:schedule", "list_schedules", "Schedules", "Arn"),
    _kind("scheduler:schedule-group", "list_schedule_groups", "ScheduleGroups", "Arn"),
    _kind("events:rule", "list_rules", "Rules", "Arn"),
    _kind("sns:topic", "list_topics", "Topics", "TopicArn"),
    _kind("sns:subscription", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
)
# Fields that tell of time or of the asking, not of the account.
_VOLATILE = frozenset({"ResponseMetadata", "RoleLastUsed", "storedBytes", "PasswordLastUsed"})


def take_inventory(clients: ClientFactory, regions: Sequence[str]) -> str:
    """All resources of the services that flyback touches, as canonical JSON.

    Service-linked roles stand apart (`iam:service-linked-role`): they belong to AWS's services.

    Args:
        clients: Makes boto3 clients.
        regions: Which regions to look into.

    Returns:
        An object of `service:resource` → identifier → description, keys sorted.
    """
    found: dict[str, dict[str, Any]] = {}
    for region in regions:
        prefix = f"{region}/" if len(regions) > 1 else ""
        for name, resources in _region(clients, region):
            found.setdefault(name, {}).update(
                {f"{prefix}{key}": value for key, value in resources.items()}
            )
    first = regions[0]
    found.update(_iam(clients("iam", first, VIA)))
    found.update(_s3(clients("s3", first, VIA)))
    return json.dumps(_clean(found), sort_keys=True, indent=1, default=_plain)


def _region(clients: ClientFactory, region: str) -> Iterable[tuple[str, dict[str, Any]]]:
    for kind in _REGIONAL:
        client = clients(kind.name.partition(":")[0], region, VIA)
        answer = _whole(client, kind.operation, kind.member, dict(kind.params))
        yield kind.name, {item[kind.key]: item for item in answer if _counts(item)}
    ec2 = clients("ec2", region, VIA)
    templates = _whole(ec2, "describe_launch_templates", "LaunchTemplates", {})
    for template in templates:
        template["Versions"] = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"]
        )["LaunchTemplateVersions"]
    yield "ec2:launch-template", {item["LaunchTemplateId"]: item for item in templates}
    stacks = _whole(clients("cloudformation", region, VIA), "describe_stacks", "Stacks", {})
    yield "cloudformation:stack", {item["StackId"]: item for item in stacks}
    yield "ssm:parameter", _parameters(clients("ssm", region, VIA))
    yield "ecr:repository", _repositories(clients("ecr", region, VIA))


def _counts(item: Mapping[str, Any]) -> bool:
    """Not what is gone (endpoints and NAT gateways are described for a while), nor AWS's own."""
    gone = item.get("State") == "deleted"
    return not gone and not str(item.get("Arn")).endswith(":schedule-group/default")


def _parameters(ssm: Any) -> dict[str, Any]:
    own = [
        item
        for item in _whole(ssm, "describe_parameters", "Parameters", {})
        if not item["Name"].startswith("/aws/")
    ]
    for item in own:
        item["Value"] = ssm.get_parameter(Name=item["Name"], WithDecryption=True)["Parameter"][
            "Value"
        ]
    return {item["Name"]: item for item in own}


def _repositories(ecr: Any) -> dict[str, Any]:
    found = _whole(ecr, "describe_repositories", "repositories", {})
    for item in found:
        asked = {"repositoryName": item["repositoryName"]}
        item["Images"] = _whole(ecr, "list_images", "imageIds", asked)
    return {item["repositoryName"]: item for item in found}


def _iam(iam: Any) -> dict[str, dict[str, Any]]:
    roles = {item["RoleName"]: item for item in _whole(iam, "list_roles", "Roles", {})}
    linked = {
        name: role for name, role in roles.items() if role["Path"].startswith("/aws-service-role/")
    }
    own = {name: role for name, role in roles.items() if name not in linked}
    for name, role in own.items():
        role["Attached"] = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        role["Inline"] = {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
    profiles = _whole(iam, "list_instance_profiles", "InstanceProfiles", {})
    providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    policies = _whole(iam, "list_policies", "Policies", {"Scope": "Local"})
    users = _whole(iam, "list_users", "Users", {})
    return {
        "iam:role": own,
        "iam:service-linked-role": {name: {} for name in linked},
        "iam:instance-profile": {item["InstanceProfileName"]: item for item in profiles},
        "iam:oidc-provider": {
            item["Arn"]: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=item["Arn"])
            for item in providers
        },
        "iam:policy": {item["Arn"]: item for item in policies},
        "iam:user": {item["UserName"]: item for item in users},
    }


def _s3(s3: Any) -> dict[str, dict[str, Any]]:
    buckets: dict[str, Any] = {}
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        versions = _whole(s3, "list_object_versions", "Versions", {"Bucket": name})
        markers = _whole(s3, "list_object_versions", "DeleteMarkers", {"Bucket": name})
        uploads = s3.list_multipart_uploads(Bucket=name).get("Uploads", [])
        buckets[name] = {
            "CreationDate": bucket["CreationDate"],
            "Objects": {
                f"{item['Key']} {item['VersionId']}": [item["ETag"], item["Size"]]
                for item in versions
            },
            "DeleteMarkers": sorted(f"{item['Key']} {item['VersionId']}" for item in markers),
            "Uploads": {item["UploadId"]: item["Key"] for item in uploads},
            **_bucket_settings(s3, name),
        }
    return {"s3:bucket": buckets}


def _bucket_settings(s3: Any, name: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    asked: dict[str, Callable[..., Any]] = {
        "Encryption": s3.get_bucket_encryption,
        "Lifecycle": s3.get_bucket_lifecycle_configuration,
        "Policy": s3.get_bucket_policy,
        "PublicAccessBlock": s3.get_public_access_block,
        "Tags": s3.get_bucket_tagging,
        "Versioning": s3.get_bucket_versioning,
    }
    settings = {}
    for setting, ask in asked.items():
        try:
            settings[setting] = ask(Bucket=name)
        except ClientError as error:
            settings[setting] = error.response["Error"]["Code"]
    return settings


def _whole(
    client: Any, operation: str, member: str, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**params)
    else:
        pages = [getattr(client, operation)(**params)]
    return [item for page in pages for item in page.get(member, [])]


def _clean(value: Any) -> Any:
    """Without volatile fields; lists in an order of their own, for AWS promises none."""
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items() if key not in _VOLATILE}
    if isinstance(value, (list, tuple)):
        cleaned = [_clean(item) for item in value]
        return sorted(cleaned, key=lambda item: json.dumps(item, sort_keys=True, default=_plain))
    return value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
