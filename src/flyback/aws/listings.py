"""Everything that can linger in an account, kind by kind: how it is listed, named and removed.

A thing is flyback's where it carries the deployment's tag, or a name that only the deployment
gives. Data rather than code: a further kind is a further line, and a test plants each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

__all__ = ["LISTINGS", "Found", "Listing"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One kind of thing.

    Args:
        kind: In a person's words.
        service: As botocore names it, and the AWS CLI.
        method: boto3's, that lists them.
        key: Where the answer holds the list; empty where it is plain names at `identifier`.
        identifier: Field by which it is removed.
        remove: boto3's method that removes one.
        argument: Its argument for the identifier.
        name: Field whose beginning says whose it is; empty where only the tag does.
        prefixes: What such a name begins with, or is where it ends with `$`; `{}` is the
            deployment's name, `<place>` account and region. Another deployment's name may begin
            with this one's, so nothing shorter than what the templates make will do.
        gone: Field → values of things that are over, or were never any.
        params: Of the listing call.
        more: Further arguments of the removing call: argument → field.
        switches: Arguments of the removing call that are simply true.
        tags_by: boto3's method that names one's tags, where the listing does not.
        by_tag: Whether to let the service choose by the tag: an account may hold thousands.
    """

    kind: str
    service: str
    method: str
    key: str
    identifier: str
    remove: str
    argument: str
    name: str = ""
    prefixes: tuple[str, ...] = ("{}-core-",)
    gone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    tags_by: str = ""
    by_tag: bool = False

    def command(self, found: Found) -> str:
        """The AWS CLI's command that removes one."""
        from botocore import xform_name  # the AWS CLI's options are named by it

        if self.kind == "bucket":  # `aws s3api delete-bucket` takes only an empty one
            return f"aws s3 rb --force s3://{found.identifier}"
        options = {self.argument: found.identifier, **found.more}
        words = [f"--{xform_name(key, '-')} {quote(value)}" for key, value in options.items()]
        words += [f"--{xform_name(key, '-')}" for key in self.switches]
        return f"aws {self.service} {self.remove.replace('_', '-')} {' '.join(words)}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """One thing that is there."""

    listing: Listing
    identifier: str
    more: Mapping[str, str] = field(default_factory=dict)


def _ec2(kind: str, noun: str, key: str, identifier: str, **other: Any) -> Listing:
    """A kind of EC2's that carries tags; `noun` is singular, as the API's verbs have it."""
    return Listing(
        kind=kind,
        service="ec2",
        key=key,
        identifier=identifier,
        argument=other.pop("argument", identifier),
        method=other.pop("method", f"describe_{noun}s"),
        remove=other.pop("remove", f"delete_{noun}"),
        **other,
    )


_ENDING = {"State": ("deleting", "deleted")}

LISTINGS: tuple[Listing, ...] = (
    _ec2(
        "spot request",
        "spot_instance_request",
        "SpotInstanceRequests",
        "SpotInstanceRequestId",
        gone={"State": ("closed", "cancelled", "failed")},
        remove="cancel_spot_instance_requests",
        argument="SpotInstanceRequestIds",
    ),
    _ec2(
        "fleet",
        "fleet",
        "Fleets",
        "FleetId",
        gone={
            "Type": ("instant",),  # the record of a request; its machines are looked for by tag
            "FleetState": ("deleted", "deleted_terminating", "deleted_running", "failed"),
        },
        remove="delete_fleets",
        argument="FleetIds",
        switches=("TerminateInstances",),
    ),
    # one that is in use goes with its machine, which is looked for by itself
    _ec2("volume", "volume", "Volumes", "VolumeId", gone={"State": ("deleting", "in-use")}),
    _ec2(
        "snapshot",
        "snapshot",
        "Snapshots",
        "SnapshotId",
        params={"OwnerIds": ["self"]},
        by_tag=True,
    ),
    _ec2(
        "machine image",
        "image",
        "Images",
        "ImageId",
        params={"Owners": ["self"]},
        remove="deregister_image",
    ),
    _ec2(
        "elastic IP",
        "address",
        "Addresses",
        "AllocationId",
        method="describe_addresses",
        remove="release_address",
    ),
    _ec2(
        "network interface",
        "network_interface",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        gone={"Status": ("in-use",)},
    ),
    _ec2("security group", "security_group", "SecurityGroups", "GroupId"),
    _ec2("launch template", "launch_template", "LaunchTemplates", "LaunchTemplateId"),
    _ec2("key pair", "key_pair", "KeyPairs", "KeyName"),
    _ec2("placement group", "placement_group", "PlacementGroups", "GroupName"),
    _ec2("NAT gateway", "nat_gateway", "NatGateways", "NatGatewayId", gone=_ENDING),
    _ec2(
        "VPC endpoint",
        "vpc_endpoint",
        "VpcEndpoints",
        "VpcEndpointId",
        gone=_ENDING,
        remove="delete_vpc_endpoints",
        argument="VpcEndpointIds",
    ),
    _ec2("subnet", "subnet", "Subnets", "SubnetId"),
    _ec2("route table", "route_table", "RouteTables", "RouteTableId"),
    _ec2("internet gateway", "internet_gateway", "InternetGateways", "InternetGatewayId"),
    _ec2("VPC", "vpc", "Vpcs", "VpcId"),
    Listing(
        kind="load balancer",
        service="elbv2",
        method="describe_load_balancers",
        key="LoadBalancers",
        identifier="LoadBalancerArn",
        name="LoadBalancerName",
        remove="delete_load_balancer",
        argument="LoadBalancerArn",
    ),
    Listing(
        kind="log group",
        service="logs",
        method="describe_log_groups",
        key="logGroups",
        identifier="logGroupName",
        name="logGroupName",
        # what services make beside the stack carries the name of what it is for
        prefixes=("/flyback/{}/", "/aws/lambda/{}-guardian$"),
        remove="delete_log_group",
        argument="logGroupName",
    ),
    Listing(
        kind="alarm",
        service="cloudwatch",
        method="describe_alarms",
        key="MetricAlarms",
        identifier="AlarmName",
        name="AlarmName",
        remove="delete_alarms",
        argument="AlarmNames",
    ),
    Listing(
        kind="dashboard",
        service="cloudwatch",
        method="list_dashboards",
        key="DashboardEntries",
        identifier="DashboardName",
        name="DashboardName",
        remove="delete_dashboards",
        argument="DashboardNames",
    ),
    Listing(
        kind="topic",
        service="sns",
        method="list_topics",
        key="Topics",
        identifier="TopicArn",
        name="TopicArn",
        prefixes=("{}-alerts$", "{}-core-"),
        remove="delete_topic",
        argument="TopicArn",
    ),
    Listing(
        kind="subscription",
        service="sns",
        method="list_subscriptions",
        key="Subscriptions",
        identifier="SubscriptionArn",
        name="TopicArn",
        prefixes=("{}-alerts$", "{}-core-"),
        remove="unsubscribe",
        argument="SubscriptionArn",
    ),
    Listing(
        kind="schedule",
        service="scheduler",
        method="list_schedules",
        key="Schedules",
        identifier="Name",
        name="GroupName",
        prefixes=("flyback-{}$",),
        remove="delete_schedule",
        argument="Name",
        more={"GroupName": "GroupName"},
    ),
    Listing(
        kind="schedule group",
        service="scheduler",
        method="list_schedule_groups",
        key="ScheduleGroups",
        identifier="Name",
        name="Name",
        prefixes=("flyback-{}$",),
        remove="delete_schedule_group",
        argument="Name",
    ),
    Listing(
        kind="event rule",
        service="events",
        method="list_rules",
        key="Rules",
        identifier="Name",
        name="Name",
        prefixes=("{}-interruptions$", "{}-ends$"),
        remove="delete_rule",
        argument="Name",
    ),
    Listing(
        kind="function",
        service="lambda",
        method="list_functions",
        key="Functions",
        identifier="FunctionName",
        name="FunctionName",
        prefixes=("{}-guardian$",),
        remove="delete_function",
        argument="FunctionName",
    ),
    Listing(
        kind="job queue",
        service="batch",
        method="describe_job_queues",
        key="jobQueues",
        identifier="jobQueueName",
        name="jobQueueName",
        gone={"status": ("DELETING", "DELETED")},
        remove="delete_job_queue",
        argument="jobQueue",
    ),
    Listing(
        kind="compute environment",
        service="batch",
        method="describe_compute_environments",
        key="computeEnvironments",
        identifier="computeEnvironmentName",
        name="computeEnvironmentName",
        gone={"status": ("DELETING", "DELETED")},
        remove="delete_compute_environment",
        argument="computeEnvironment",
    ),
    Listing(
        kind="job definition",
        service="batch",
        method="describe_job_definitions",
        key="jobDefinitions",
        identifier="jobDefinitionArn",
        name="jobDefinitionName",
        gone={"status": ("INACTIVE",)},
        remove="deregister_job_definition",
        argument="jobDefinition",
    ),
    Listing(
        kind="repository",
        service="ecr",
        method="describe_repositories",
        key="repositories",
        identifier="repositoryName",
        name="repositoryName",
        prefixes=("{}$", "{}/"),
        remove="delete_repository",
        argument="repositoryName",
        switches=("force",),
    ),
    Listing(
        kind="role",
        service="iam",
        method="list_roles",
        key="Roles",
        identifier="RoleName",
        name="RoleName",
        prefixes=("{}-core-", "{}-ci-PushRole-"),
        remove="delete_role",
        argument="RoleName",
    ),
    Listing(
        kind="identity provider",
        service="iam",
        method="list_open_id_connect_providers",
        key="OpenIDConnectProviderList",
        identifier="Arn",
        tags_by="list_open_id_connect_provider_tags",
        remove="delete_open_id_connect_provider",
        argument="OpenIDConnectProviderArn",
    ),
    Listing(
        kind="instance profile",
        service="iam",
        method="list_instance_profiles",
        key="InstanceProfiles",
        identifier="InstanceProfileName",
        name="InstanceProfileName",
        remove="delete_instance_profile",
        argument="InstanceProfileName",
    ),
    Listing(
        kind="secret",
        service="secretsmanager",
        method="list_secrets",
        key="SecretList",
        identifier="Name",
        remove="delete_secret",
        argument="SecretId",
        switches=("ForceDeleteWithoutRecovery",),
    ),
    Listing(
        kind="stack",
        service="cloudformation",
        method="describe_stacks",
        key="Stacks",
        identifier="StackName",
        gone={"StackStatus": ("DELETE_COMPLETE",)},
        remove="delete_stack",
        argument="StackName",
    ),
    Listing(
        kind="bucket",
        service="s3",
        method="list_buckets",
        key="Buckets",
        identifier="Name",
        name="Name",
        prefixes=("{}-data-<place>$", "{}-outputs-<place>$", "{}-bootstrap-<place>$"),
        remove="delete_bucket",
        argument="Bucket",
    ),
)
