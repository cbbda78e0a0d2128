"""EC2's operations that moto does not do as AWS does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.ec2.fleet import Fleet, fill
from flyback.rehearsal.ec2.images import register
from flyback.rehearsal.ec2.launch import Order, launch
from flyback.rehearsal.ec2.machines import STATES, Machines
from flyback.rehearsal.ec2.market import Market
from flyback.rehearsal.ec2.templates import expand, resolve
from flyback.rehearsal.ec2.tokens import Tokens
from flyback.rehearsal.moto_state import LOCK, backend
from flyback.rehearsal.serialising import serialise

__all__ = ["Ec2Gap"]

Answer = Mapping[str, Any] | Response


class Ec2Gap:
    """Launches, fleets, and the ends of machines.

    Args:
        machines: Moves them through their states.
        offers: Which are to be had.
    """

    service = "ec2"

    def __init__(self, machines: Machines, offers: Market) -> None:
        self._machines = machines
        self._offers = offers
        self._launches: Tokens[Any] = Tokens()
        self._fleet_tokens: Tokens[Fleet] = Tokens()
        self._fleets: dict[tuple[str, str], Fleet] = {}
        self._answers: dict[str, Callable[[Call], Answer]] = {
            "RunInstances": self._run_instances,
            "CreateFleet": self._create_fleet,
            "DescribeFleets": self._describe_fleets,
            "DescribeFleetInstances": self._describe_fleet_instances,
            "DeleteFleets": self._delete_fleets,
            "TerminateInstances": self._terminate,
            "StopInstances": self._stop,
            "StartInstances": self._start,
            "RebootInstances": self._reboot,
        }
        self._with_images = frozenset({"DescribeImages", "DescribeSnapshots"})
        self.operations = frozenset(self._answers) | self._with_images

    def answer(self, call: Call, forward: Callable[[Call], Response]) -> Answer:
        from moto.core.exceptions import ServiceException

        register(call.region)
        if call.operation in self._with_images:
            return forward(call)
        try:
            return self._answers[call.operation](call)
        except ServiceException as error:
            raise AwsError(error.code, error.message) from error

    def _run_instances(self, call: Call) -> Answer:
        def make() -> Any:
            reservation = launch(call.region, self._order(call), self._offers)
            for instance in reservation.instances:
                self._machines.begin(instance)
            return reservation

        order = self._order(call)
        if call.params.get("DryRun"):
            _dry_run()
        if order.market == "spot":
            _service_linked_role()
        reservation = self._launches.once(f"RunInstances {call.region}", call.params, make)
        return serialise(call, reservation)

    def _order(self, call: Call) -> Order:
        request, tags = call.params, {}
        data: dict[str, Any] = {}
        if request.get("LaunchTemplate"):
            with LOCK:
                state = backend("ec2", call.region)
                template_id, version, data = resolve(state, request["LaunchTemplate"])
            tags = {
                "aws:ec2launchtemplate:id": template_id,
                "aws:ec2launchtemplate:version": str(version),
            }
        params = expand(data, request)
        options = params.get("InstanceMarketOptions") or {}
        return Order(
            params=params,
            market="spot" if options.get("MarketType") == "spot" else "on-demand",
            count=int(request.get("MaxCount", 1)),
            tags=tags,
            token=str(request.get("ClientToken") or ""),
        )

    def _create_fleet(self, call: Call) -> Answer:
        kind = call.params.get("Type", "maintain")
        if kind != "instant":
            raise AwsError("NotEmulated", f"a fleet of type {kind} is not emulated", 501)
        if call.params.get("DryRun"):
            _dry_run()

        def make() -> Fleet:
            from moto.ec2.utils import random_fleet_id

            fleet = fill(call.region, call.params, random_fleet_id(), self._offers)
            for instance in fleet.machines:
                self._machines.begin(instance)
            self._fleets[call.region, fleet.fleet_id] = fleet
            if fleet.market == "spot":
                _service_linked_role()
            return fleet

        return self._fleet_tokens.once(f"CreateFleet {call.region}", call.params, make).answer

    def _describe_fleets(self, call: Call) -> Answer:
        return {"Fleets": [_described(fleet) for fleet in self._named(call)]}

    def _describe_fleet_instances(self, call: Call) -> Answer:
        raise AwsError(
            "UnsupportedOperation",
            f"DescribeFleetInstances does not support instant fleets: {call.params.get('FleetId')}",
        )

    def _delete_fleets(self, call: Call) -> Answer:
        if not call.params.get("TerminateInstances"):
            raise AwsError(
                "InvalidParameterValue",
                "NoTerminateInstances option is not supported for instant fleet",
            )
        deleted = []
        for fleet in self._named(call):
            for instance in fleet.machines:
                self._machines.terminate(instance)
            del self._fleets[call.region, fleet.fleet_id]
            deleted.append(
                {
                    "CurrentFleetState": "deleted_terminating",
                    "PreviousFleetState": "active",
                    "FleetId": fleet.fleet_id,
                }
            )
        return {"SuccessfulFleetDeletions": deleted, "UnsuccessfulFleetDeletions": []}

    def _named(self, call: Call) -> list[Fleet]:
        """The fleets that a call names; AWS tells of instant ones only by their ids."""
        found = []
        for fleet_id in call.params.get("FleetIds", ()):
            fleet = self._fleets.get((call.region, fleet_id))
            if fleet is None:
                raise AwsError(
                    "InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist"
                )
            found.append(fleet)
        return found

    def _terminate(self, call: Call) -> Answer:
        instances = _instances(call)
        for instance in instances:
            if instance.disable_api_termination:
                raise AwsError(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its "
                    "'disableApiTermination' instance attribute and try again.",
                )
        skip = str(call.params.get("SkipOsShutdown")).lower() == "true"
        end = functools.partial(self._machines.terminate, skip_os_shutdown=skip)
        return {"TerminatingInstances": _changes(instances, end)}

    def _stop(self, call: Call) -> Answer:
        return {"StoppingInstances": _changes(_instances(call), self._machines.stop)}

    def _start(self, call: Call) -> Answer:
        return {"StartingInstances": _changes(_instances(call), self._machines.start)}

    def _reboot(self, call: Call) -> Answer:
        for instance in _instances(call):
            self._machines.reboot(instance)
        return {}


def _instances(call: Call) -> list[Any]:
    with LOCK:
        state = backend("ec2", call.region)
        instances: list[Any] = state.get_multi_instances_by_id(call.params.get("InstanceIds", ()))
    if not instances:
        raise AwsError("InvalidParameterCombination", "No instances specified")
    if call.params.get("DryRun"):
        _dry_run()
    return instances


def _changes(instances: Sequence[Any], change: Callable[[Any], str]) -> list[dict[str, Any]]:
    changes = []
    for instance in instances:
        before = change(instance)
        changes.append(
            {
                "InstanceId": instance.id,
                "CurrentState": {"Code": instance.state_code, "Name": instance.state},
                "PreviousState": {"Code": STATES[before], "Name": before},
            }
        )
    return changes


def _described(fleet: Fleet) -> dict[str, Any]:
    target = fleet.request["TargetCapacitySpecification"]
    return {
        "FleetId": fleet.fleet_id,
        "FleetState": "active",
        "Type": "instant",
        "CreateTime": fleet.created,
        "ClientToken": fleet.request.get("ClientToken", ""),
        "TargetCapacitySpecification": target,
        "FulfilledCapacity": float(len(fleet.machines)),
        "LaunchTemplateConfigs": fleet.request.get("LaunchTemplateConfigs", []),
        "Errors": fleet.answer["Errors"],
        "Instances": fleet.answer["Instances"],
        "Tags": [
            tag
            for item in fleet.request.get("TagSpecifications", ())
            if item["ResourceType"] == "fleet"
            for tag in item["Tags"]
        ],
    }


def _dry_run() -> None:
    raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def _service_linked_role() -> None:
    """EC2 makes the role of spot machines itself, for a caller who may (here: everybody)."""
    with LOCK:
        iam = backend("iam", "global")
        names = {role.name for role in iam.roles.values()}
        if "AWSServiceRoleForEC2Spot" not in names:
            iam.create_service_linked_role("spot.amazonaws.com", "", "")
