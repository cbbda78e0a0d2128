"""Another machine for a run whose last one was taken away or lost.

The request is stored before it is sent, once for everybody (`If-None-Match`), and repeated verbatim
with its token by whoever finds it without an answer: two guardians at once ask for one machine. One
that looked before the other went on asks for none. A run may be stopped between the request and its
answer: its machine is then wanted by nobody.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from flyback.aws.ec2 import GONE, FleetAnswer, Instance
from flyback.aws.errors import error_for_code
from flyback.errors import ConflictError, RefusedError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.decide import Relaunch
from flyback.launch.guardian.facts import ATTEMPT_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.reap import DEADLINE_TAG
from flyback.launch.lease import arm_machine, hold, stem, with_attempt
from flyback.launch.records import Records
from flyback.spec.codec import dumps
from flyback.spec.launch import Attempt, Launch, Refusal
from flyback.spec.paths import LeasePaths

__all__ = ["UnwantedError", "next_request", "relaunch"]

_SPOT = {
    "AllocationStrategy": "price-capacity-optimized",
    "InstanceInterruptionBehavior": "terminate",
}
_ON_DEMAND = {"AllocationStrategy": "lowest-price"}


class UnwantedError(ConflictError):
    """The run was stopped or released while its machine was asked for.

    Args:
        instance_id: The machine, which is to be ended, before anything else.
        launch: The run with it, for whoever counts what the run cost.
    """

    def __init__(self, instance_id: str, launch: Launch) -> None:
        super().__init__("the run ended while a machine was asked for", where=instance_id)
        self.instance_id = instance_id
        self.launch = launch


def relaunch(guard: Guard, launch: Launch, step: Relaunch) -> Launch:
    """The launch with its new attempt, granted or refused; as it is held, where it has gone on.

    Raises:
        ConflictError: the run was released meanwhile, and nothing was asked for.
        UnwantedError: it was released or stopped meanwhile, and has a machine.
        RefusedError: nobody knows whether there is a machine; the stored request tells the next.
    """
    records = guard.records(launch.run_id)
    attempt = _stored(guard, records, launch, step)
    asked = hold(guard.store, launch.run_id, lambda there: _asking(guard, there, attempt))
    if asked.attempts[-1] is not attempt:
        return asked
    records.write(records.paths.launch, asked)  # the new machine's agent reads it
    machine = _found(guard, launch.run_id, attempt.number)
    if machine is None:
        told = _asked(guard, launch.run_id, attempt)
    else:
        told = _granted_to(attempt, machine)
    return _noted(guard, records, asked, told)


def next_request(launch: Launch, number: int, market: str) -> dict[str, Any]:
    """The last request, for the next attempt: another token, other tags, maybe another market."""
    last = launch.attempts[-1]
    request: dict[str, Any] = copy.deepcopy(dict(last.request))
    request["ClientToken"] = f"{stem(launch.run_id)}-{number}"
    request["TargetCapacitySpecification"]["DefaultTargetCapacityType"] = market
    for options in ("SpotOptions", "OnDemandOptions"):
        request.pop(options, None)
    if market == "spot":
        request["SpotOptions"] = dict(_SPOT)
    else:
        request["OnDemandOptions"] = dict(_ON_DEMAND)
    changed = {ATTEMPT_TAG: str(number), DEADLINE_TAG: str(int(launch.deadline))}
    for specification in request["TagSpecifications"]:
        specification["Tags"] = [
            {"Key": tag["Key"], "Value": changed.get(tag["Key"], tag["Value"])}
            for tag in specification["Tags"]
        ]
    return request


def _stored(guard: Guard, records: Records, launch: Launch, step: Relaunch) -> Attempt:
    """The attempt as it was first written down, by us or by another guardian."""
    key = LeasePaths(launch.run_id).request(step.number)
    if not step.again:
        attempt = Attempt(
            number=step.number,
            token=f"{stem(launch.run_id)}-{step.number}",
            market=step.market,
            request=_elsewhere(guard, launch, next_request(launch, step.number, step.market)),
            region=launch.region,
            asked_at=guard.clock.now(),
        )
        try:
            records.remote.put(key, (dumps(attempt) + "\n").encode(), if_absent=True)
        except ConflictError:
            pass
        else:
            return attempt
    # one of the client's is in the launch alone
    return records.read(Attempt, key) or launch.attempts[-1]


def _elsewhere(guard: Guard, launch: Launch, request: dict[str, Any]) -> dict[str, Any]:
    """Leave out the pool that EC2 has just emptied, where others remain."""
    last = launch.attempts[-1]
    config = request["LaunchTemplateConfigs"][0]
    zones = _zones(guard, config["Overrides"]) if last.zone else {}
    others = [
        item
        for item in config["Overrides"]
        if (item["InstanceType"], zones.get(item["SubnetId"])) != (last.instance_type, last.zone)
    ]
    config["Overrides"] = others or config["Overrides"]
    return request


def _zones(guard: Guard, overrides: list[Mapping[str, Any]]) -> dict[str, str]:
    subnets = sorted({str(item["SubnetId"]) for item in overrides})
    return {item.subnet_id: item.zone for item in guard.session.ec2.subnets(subnets)}


def _closed(guard: Guard, launch: Launch, number: int) -> Launch:
    """The earlier attempts with how their machines ended: EC2 forgets them within an hour."""
    return dataclasses.replace(
        launch,
        attempts=tuple(
            item if item.number == number or item.ended_at is not None else _ended(guard, item)
            for item in launch.attempts
        ),
    )


def _ended(guard: Guard, attempt: Attempt) -> Attempt:
    machine = guard.session.ec2.instance(attempt.instance_id) if attempt.instance_id else None
    if machine is None or machine.state not in GONE:
        return attempt
    reason = machine.reason
    return dataclasses.replace(attempt, ended_at=machine.ended_at, end_reason=reason)


def _asking(guard: Guard, there: Launch | None, attempt: Attempt) -> Launch:
    """What is held, with the request; untouched where somebody is further on."""
    if there is None:
        raise _released()
    last = there.attempts[-1]
    if last.number > attempt.number or (last.number == attempt.number and last.is_answered):
        return there
    return with_attempt(_closed(guard, there, attempt.number), attempt)


def _noted(guard: Guard, records: Records, asked: Launch, told: Attempt) -> Launch:
    """What is held, with the answer; who stopped the run meanwhile may have missed the machine."""
    launch = hold(guard.store, asked.run_id, lambda there: _armed(guard, asked, there, told))
    if told.instance_id and records.marker() is not None:
        raise UnwantedError(told.instance_id, launch)
    records.write(records.paths.launch, launch)
    return launch


def _armed(guard: Guard, asked: Launch, there: Launch | None, attempt: Attempt) -> Launch:
    """What is held, with the answer, once the machine's tag and schedule say what it says.

    The deadline may have moved since the request was written; or the run was released.
    """
    if there is None:
        if attempt.instance_id:
            raise UnwantedError(attempt.instance_id, with_attempt(asked, attempt))
        raise _released()
    if attempt.instance_id:
        tag = {"Key": DEADLINE_TAG, "Value": str(int(there.deadline))}
        if tag not in attempt.request["TagSpecifications"][0]["Tags"]:
            guard.session.ec2.tag([attempt.instance_id], {DEADLINE_TAG: tag["Value"]})
        named = (there.run_id, attempt.number, attempt.instance_id)
        arm_machine(guard.session, guard.place, named, there.deadline)
    return with_attempt(there, attempt)


def _released() -> ConflictError:
    return ConflictError("the run was released meanwhile", where="the lease")


def _found(guard: Guard, run_id: str, number: int) -> Instance | None:
    for machine in guard.session.ec2.instances(RUN_TAG, run_id):
        if machine.tags.get(ATTEMPT_TAG) == str(number) and machine.state not in GONE:
            return machine
    return None


def _asked(guard: Guard, run_id: str, attempt: Attempt) -> Attempt:
    answer = guard.session.ec2.create_fleet(attempt.request, run_id)
    if not answer.instance_ids:
        return dataclasses.replace(attempt, refusals=_refusals(answer))
    machine = guard.session.ec2.instance(answer.instance_ids[0])
    if machine is not None:
        return _granted_to(attempt, machine)
    return dataclasses.replace(
        attempt,
        instance_id=answer.instance_ids[0],
        instance_type=answer.instance_type,
        launched_at=guard.clock.now(),
    )


def _granted_to(attempt: Attempt, machine: Instance) -> Attempt:
    return dataclasses.replace(
        attempt,
        instance_id=machine.instance_id,
        instance_type=machine.instance_type,
        zone=machine.zone,
        launched_at=machine.launched_at,
    )


def _refusals(answer: FleetAnswer) -> tuple[Refusal, ...]:
    found = []
    for error in answer.errors:
        ours = error_for_code(error.code, error.message, "")
        found.append(
            Refusal(
                kind=ours.kind if isinstance(ours, RefusedError) else "service",
                code=error.code,
                message=error.message,
                instance_type=error.instance_type,
            )
        )
    return tuple(found)
