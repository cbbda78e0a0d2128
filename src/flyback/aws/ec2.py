"""Machines, and what hangs on them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyback.aws.errors import translated
from flyback.aws.service import Service
from flyback.errors import AccessDeniedError, NotFoundError, ServiceError

__all__ = ["GONE", "Ec2", "FleetAnswer", "FleetError", "Image", "Instance", "Subnet"]

GONE = frozenset({"terminated"})
_VOLUME_ENDING = frozenset({"deleting", "deleted"})
_WOULD_SUCCEED = "DryRunOperation"
_NOTHING = "InsufficientInstanceCapacity"  # of a fleet that gives nothing and does not say why
_ENDED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a launch must know of an AMI: state, root device's name and its least size in GiB."""

    image_id: str
    root_device: str
    root_gib: int
    state: str = "available"


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet, its availability zone, and how many addresses it has left."""

    subnet_id: str
    zone: str
    free_addresses: int = 1


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A machine as EC2 describes it.

    Args:
        launched_at: Seconds since the epoch.
        ended_at: Seconds since the epoch, from StateTransitionReason; None while it runs, or where
            EC2 gives no time.
        reason: StateReason code (`Client.InstanceInitiatedShutdown`, …), or empty.
        vcpus: Virtual CPUs as they are switched on; 0 where EC2 does not say.
    """

    instance_id: str
    instance_type: str
    zone: str
    state: str
    market: str
    launched_at: float
    ended_at: float | None
    reason: str
    tags: Mapping[str, str]
    vcpus: int = 0


@dataclass(frozen=True, kw_only=True)
class FleetError:
    """One failure that a fleet reports beside its answer, as a code and a sentence.

    Args:
        instance_type: Of the pool; empty where the fleet does not say.
        subnet_id: The same.
    """

    code: str
    message: str
    instance_type: str = ""
    subnet_id: str = ""


@dataclass(frozen=True, kw_only=True)
class FleetAnswer:
    """What an instant fleet gave."""

    fleet_id: str
    instance_ids: tuple[str, ...]
    instance_type: str | None
    subnet_id: str | None
    errors: tuple[FleetError, ...]


def _fleet_error(item: Mapping[str, Any]) -> FleetError:
    pool = item.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    return FleetError(
        code=item.get("ErrorCode") or "Unknown",
        message=item.get("ErrorMessage", ""),
        instance_type=pool.get("InstanceType", ""),
        subnet_id=pool.get("SubnetId", ""),
    )


def _is_refusal(response: Mapping[str, Any]) -> bool:
    """Whether an error says for certain that the request made nothing.

    A failure on EC2's side says nothing of what was done before it. Nor does the answer to a
    request that botocore had sent before, unheard: the first one may have made a machine. And a
    token that is spent was spent on one.
    """
    metadata = response.get("ResponseMetadata", {})
    refused = 400 <= metadata.get("HTTPStatusCode", 0) < 500  # noqa: PLR2004  # HTTP's own
    return (
        refused
        and not metadata.get("RetryAttempts")
        and response.get("Error", {}).get("Code") != "IdempotentParameterMismatch"
    )


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}


def _instance(item: Mapping[str, Any]) -> Instance:
    ended = _ENDED_AT.search(item.get("StateTransitionReason", ""))
    ended_at = None
    cores = item.get("CpuOptions", {})
    if ended:
        moment = datetime.strptime(ended[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        ended_at = moment.timestamp()
    return Instance(
        instance_id=item["InstanceId"],
        instance_type=item["InstanceType"],
        zone=item["Placement"]["AvailabilityZone"],
        state=item["State"]["Name"],
        market=item.get("InstanceLifecycle", "on-demand"),
        launched_at=item["LaunchTime"].timestamp(),
        ended_at=ended_at,
        reason=item.get("StateReason", {}).get("Code", ""),
        tags=_tags(item),
        vcpus=cores.get("CoreCount", 0) * cores.get("ThreadsPerCore", 0),
    )


class Ec2(Service):
    """Elastic Compute Cloud."""

    def image(self, image_id: str) -> Image:
        """Root device of an AMI.

        Raises:
            NotFoundError: there is no such image.
        """
        found = self._call("describe_images", ImageIds=[image_id])["Images"]
        if not found:
            raise NotFoundError(f"no image {image_id}", where="ec2:DescribeImages")
        root = found[0]["RootDeviceName"]
        sizes = [
            mapping["Ebs"].get("VolumeSize", 0)
            for mapping in found[0].get("BlockDeviceMappings", [])
            if mapping.get("DeviceName") == root and "Ebs" in mapping
        ]
        return Image(
            image_id=image_id,
            root_device=root,
            root_gib=max(sizes, default=0),
            state=found[0].get("State", "available"),
        )

    def subnets(self, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
        """Zones of subnets."""
        found = self._call("describe_subnets", SubnetIds=list(subnet_ids))["Subnets"]
        return tuple(
            Subnet(
                subnet_id=item["SubnetId"],
                zone=item["AvailabilityZone"],
                free_addresses=int(item.get("AvailableIpAddressCount", 1)),
            )
            for item in found
        )

    def create_fleet(self, request: Mapping[str, Any], scope: str) -> FleetAnswer:
        """Ask an instant fleet for a machine, by a stored request that carries its client token.

        What comes back is EC2's answer: a machine, or why there is none. Failures of single pools
        stand in `errors`; so does the failure of all, and, without a pool, the refusal of the
        request itself.

        Raises:
            RefusedError: there is no answer, so nobody knows whether there is a machine.
        """
        token = str(request["ClientToken"])
        self._intend("create_fleet", token, scope)
        answer = self._answer_to(request)
        ids = tuple(
            instance_id
            for group in answer.get("Instances", [])
            for instance_id in group.get("InstanceIds", [])
        )
        self._made("create_fleet", token, scope, *ids)
        errors = tuple(_fleet_error(item) for item in answer.get("Errors", []))
        if not ids and not errors:
            errors = (FleetError(code=_NOTHING, message="the fleet gave no machine"),)
        granted = (answer.get("Instances") or [{}])[0]
        overrides = granted.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        return FleetAnswer(
            fleet_id=answer.get("FleetId", ""),
            instance_ids=ids,
            instance_type=granted.get("InstanceType"),
            subnet_id=overrides.get("SubnetId"),
            errors=errors,
        )

    def _answer_to(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        with translated("ec2:CreateFleet"):
            try:
                answer: dict[str, Any] = self._client.create_fleet(**request)
            except ClientError as error:
                if not _is_refusal(error.response):
                    raise
                told = error.response["Error"]
                return {"Errors": [{"ErrorCode": told["Code"], "ErrorMessage": told["Message"]}]}
        return answer

    def check_fleet(self, request: Mapping[str, Any]) -> None:
        """Ask whether we may make a fleet, without making it.

        Raises:
            AccessDeniedError: we may not.
        """
        try:
            self._call("create_fleet", DryRun=True, **request)
        except ServiceError as error:
            if error.code != _WOULD_SUCCEED:
                raise

    def running(self) -> tuple[Instance, ...]:
        """All machines of the region that count against quotas, whoever launched them."""
        filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        found = self._pages("describe_instances", "Reservations", Filters=filters)
        return tuple(_instance(item) for group in found for item in group["Instances"])

    def instance(self, instance_id: str) -> Instance | None:
        """A machine; None where EC2 has forgotten it (about an hour after its end)."""
        try:
            answer = self._call("describe_instances", InstanceIds=[instance_id])
        except NotFoundError:
            return None
        for reservation in answer["Reservations"]:
            for item in reservation["Instances"]:
                return _instance(item)
        return None

    def instances(self, tag: str, value: str = "*") -> tuple[Instance, ...]:
        """All machines with a tag, gone ones included while EC2 remembers them."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        found = self._pages("describe_instances", "Reservations", Filters=filters)
        return tuple(_instance(item) for group in found for item in group["Instances"])

    def volumes(self, tag: str, value: str = "*") -> tuple[str, ...]:
        """Volumes with a tag."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        found = self._pages("describe_volumes", "Volumes", Filters=filters)
        return tuple(item["VolumeId"] for item in found if item["State"] not in _VOLUME_ENDING)

    def volume_exists(self, volume_id: str) -> bool:
        """Whether a volume is there and not being deleted."""
        try:
            (volume,) = self._call("describe_volumes", VolumeIds=[volume_id])["Volumes"]
        except NotFoundError:
            return False
        return volume["State"] not in _VOLUME_ENDING

    def template_exists(self, template_id: str) -> bool:
        """Whether a launch template is there."""
        try:
            found = self._call("describe_launch_templates", LaunchTemplateIds=[template_id])
        except NotFoundError:
            return False
        return bool(found["LaunchTemplates"])

    def interface_exists(self, interface_id: str) -> bool:
        """Whether a network interface is there."""
        try:
            self._call("describe_network_interfaces", NetworkInterfaceIds=[interface_id])
        except NotFoundError:
            return False
        return True

    def interfaces(self, tag: str, value: str = "*") -> tuple[str, ...]:
        """Network interfaces with a tag."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        found = self._pages("describe_network_interfaces", "NetworkInterfaces", Filters=filters)
        return tuple(item["NetworkInterfaceId"] for item in found)

    def terminate(self, instance_ids: Sequence[str], *, at_once: bool = False) -> None:
        """Terminate machines; ones that EC2 has forgotten, or does not know yet, do not matter.

        Args:
            instance_ids: Which.
            at_once: Do not wait for operating systems, which may hang.
        """
        for instance_id in instance_ids:  # one unknown id would refuse them all
            try:
                self._terminate(instance_id, at_once=at_once)
            except NotFoundError:
                continue
            except AccessDeniedError:  # what has no tags meets no policy that asks for one
                found = self.instance(instance_id)
                if found is not None and found.state not in GONE:
                    raise

    def tag(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set tags of machines; the metadata service shows them at once."""
        pairs = [{"Key": key, "Value": text} for key, text in sorted(tags.items())]
        self._call("create_tags", Resources=list(instance_ids), Tags=pairs)

    def _terminate(self, instance_id: str, *, at_once: bool) -> None:
        if at_once:
            try:
                self._call("terminate_instances", InstanceIds=[instance_id], SkipOsShutdown=True)
            except ServiceError as error:
                if "SkipOsShutdown" not in error.what:
                    raise
            else:
                return  # an older botocore, as Lambda may have, does not know the switch
        self._call("terminate_instances", InstanceIds=[instance_id])
