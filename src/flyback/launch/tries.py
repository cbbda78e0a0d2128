"""One try after another until there is a machine; every one is written down with its outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyback.aws.ec2 import FleetAnswer, FleetError
from flyback.aws.errors import error_for_code
from flyback.aws.session import Session
from flyback.errors import (
    AccessDeniedError,
    AccountSetupError,
    CapacityError,
    ImageError,
    PriceError,
    QuotaError,
    RefusedError,
    ServiceError,
)
from flyback.launch.daybook import commit
from flyback.launch.fleet import Site, Ticket, fleet_request
from flyback.launch.lease import arm_machine, hold, release
from flyback.launch.preflight import Allowed, explained
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.codec import dumps
from flyback.spec.event import Marker
from flyback.spec.launch import Attempt, Launch, Refusal
from flyback.spec.plan import Plan

__all__ = [
    "MOVES_ON",
    "PAUSE_S",
    "Tries",
    "give_up",
    "let_go",
    "markets_of",
    "most_telling",
    "refusal_of",
    "refusals_of",
    "request_for",
]

PAUSE_S = 15.0
"""Seconds between tries: stocks change in minutes, not at once."""
# What a fleet tells of several pools, most telling first: what trying again can't mend.
_TELLING = (AccessDeniedError, AccountSetupError, QuotaError, ImageError, ServiceError)
MOVES_ON = (CapacityError, PriceError)
"""What another try, or another region, may mend."""


def markets_of(plan: Plan) -> list[str]:
    """The market of each try, in order, as the job's spot policy says."""
    spot = plan.job.spot
    markets = ["spot"] * spot.attempts if plan.market == "spot" else []
    if spot.then == "on-demand" or plan.market == "on-demand":
        markets.append("on-demand")
    return markets


def request_for(plan: Plan, launch: Launch, site: Site, *, number: int, market: str) -> Any:
    """The fleet request of one try."""
    ticket = Ticket(
        run_id=launch.run_id,
        attempt=number,
        token=f"{launch.run_id[-58:]}-{number}",  # at most 64 characters
        market=market,
        deadline=int(launch.deadline),
        bundle_sha256=launch.bundle_sha256,
    )
    return fleet_request(plan, ticket, site)


@dataclass(frozen=True, kw_only=True)
class Tries:
    """Asks for a machine, market after market.

    Args:
        session: The account.
        clock: What pauses wait on.
        report: Told each step.
        records: Where each try is written down, before and after.
        site: Where the machine may stand.
        allowed: What the quotas left of the plan, by market.
    """

    session: Session
    clock: Clock
    report: Report
    records: Records
    site: Site
    allowed: Mapping[str, Allowed]

    def until_granted(self, launch: Launch, markets: list[str]) -> Launch:
        """The launch with its machine.

        Capacity and price move on to the next try; everything else stops at once.

        Raises:
            CapacityError: no try found one.
            RefusedError: something that no further try can mend.
        """
        refusal: RefusedError = CapacityError("the job's spot policy allows no attempt")
        for turn, market in enumerate(markets):
            if turn:
                self.clock.sleep(PAUSE_S)
            launch, refused = self._try(launch, market)
            if refused is None:
                return launch
            refusal = refused
            number = launch.attempts[-1].number
            self.report("launch", f"attempt {number} ({market}): {refusal.what}")
            if not isinstance(refusal, MOVES_ON):
                raise explained(self.session, self.allowed[market].plan, market, refusal)
        count = f"{len(markets)} attempts" if len(markets) > 1 else "1 attempt"
        raise type(refusal)(
            f"no machine in {count}; the last was refused with {refusal.what}",
            where=refusal.where,
            remedy=refusal.remedy,
        )

    def _try(self, launch: Launch, market: str) -> tuple[Launch, RefusedError | None]:
        allowed = self.allowed[market]
        number = launch.attempts[-1].number + 1 if launch.attempts else 1
        request = request_for(allowed.plan, launch, self.site, number=number, market=market)
        attempt = Attempt(
            number=number,
            token=request["ClientToken"],
            market=market,
            request=request,
            region=launch.region,
            asked_at=self.clock.now(),
            refusals=allowed.left_out,
        )
        launch = dataclasses.replace(launch, attempts=(*launch.attempts, attempt))
        self._write(launch)
        try:
            answer = self.session.ec2.create_fleet(request, launch.run_id)
        except ServiceError:
            raise  # nobody knows whether there is a machine: the stored request can be replayed
        except RefusedError as error:
            refusals = (*attempt.refusals, refusal_of(error))
            return self._noted(launch, refusals=refusals), error
        zones = {subnet.subnet_id: subnet.zone for subnet in self.site.subnets}
        refusals = (*attempt.refusals, *refusals_of(answer, zones))
        if answer.instance_ids:
            return self._granted(launch, answer, refusals), None
        return self._noted(launch, refusals=refusals), most_telling(answer)

    def _granted(
        self, launch: Launch, answer: FleetAnswer, refusals: tuple[Refusal, ...]
    ) -> Launch:
        """All from the fleet's own answer: for seconds, EC2 may not know the machine by its id."""
        instance_id = answer.instance_ids[0]
        zones = {subnet.subnet_id: subnet.zone for subnet in self.site.subnets}
        launch = self._noted(
            launch,
            instance_id=instance_id,
            instance_type=answer.instance_type,
            zone=zones.get(answer.subnet_id or ""),
            launched_at=self.clock.now(),
            refusals=refusals,
        )
        current = launch.attempts[-1]
        if launch.place is not None:
            machine = (launch.run_id, current.number, instance_id)
            arm_machine(self.session, launch.place, machine, launch.deadline)
        for refusal in answer.errors:
            self.report("launch", f"passed over {refusal.instance_type}: {refusal.code}")
        self.report(
            "launch",
            f"{instance_id}: {current.market} {current.instance_type} in {current.zone}",
        )
        return launch

    def _noted(self, launch: Launch, **fields: Any) -> Launch:
        current = dataclasses.replace(launch.attempts[-1], **fields)
        launch = dataclasses.replace(launch, attempts=(*launch.attempts[:-1], current))
        self._write(launch)
        return launch

    def _write(self, launch: Launch) -> None:
        """For the run's reader, and for the guardian."""
        self.records.write(self.records.paths.launch, launch)
        hold(self.records.remote, launch)


def let_go(session: Session, records: Records, launch: Launch, refusal: RefusedError) -> None:
    """Release a run that a region gave no machine: no schedule, no claim on the day's cap."""
    if _stays_open(launch, refusal):
        return
    if launch.place is not None:
        count = len(launch.attempts)
        release(session, records.remote, launch.place.group, launch.run_id, count)
    commit(records.remote, launch.created_at, launch.run_id, 0.0)


def give_up(records: Records, launch: Launch, refusal: RefusedError, clock: Clock) -> None:
    """Mark a run as failed where nothing was launched and repeating it would not help."""
    if _stays_open(launch, refusal):
        return
    marker = records.declare(
        Marker(
            run_id=launch.run_id,
            attempt=launch.attempts[-1].number,
            kind="FAILURE",
            exit_code=None,
            reason=refusal.kind,
            log_tail=refusal.what,
            at=clock.now(),
        )
    )
    records.local.put(records.paths.marker, dumps(marker).encode())


def _stays_open(launch: Launch, refusal: RefusedError) -> bool:
    """Whether the same command may go on with a run that was refused.

    A failure of the service leaves it open: nobody knows what it did with the request. So does a
    missing permission: once it is granted, the same command goes on.
    """
    machine = launch.attempts[-1].instance_id if launch.attempts else None
    return isinstance(refusal, (ServiceError, AccessDeniedError)) or machine is not None


def refusal_of(error: RefusedError) -> Refusal:
    """A call that was refused as a whole, as it is written down."""
    return Refusal(kind=error.kind, code=error.what.partition(":")[0], message=error.what)


def refusals_of(answer: FleetAnswer, zones: Mapping[str, str]) -> tuple[Refusal, ...]:
    """The pools that a fleet passed over, as they are written down.

    Args:
        answer: The fleet's.
        zones: Availability zones by subnet, as far as they are known.
    """
    return tuple(_refusal_of_pool(error, zones) for error in answer.errors)


def _refusal_of_pool(error: FleetError, zones: Mapping[str, str]) -> Refusal:
    ours = error_for_code(error.code, error.message, "")
    return Refusal(
        kind=ours.kind if isinstance(ours, RefusedError) else "service",
        code=error.code,
        message=error.message,
        instance_type=error.instance_type,
        zone=zones.get(error.subnet_id, ""),
    )


def most_telling(answer: FleetAnswer) -> RefusedError:
    """The error of a fleet that gave nothing: one that trying again can't mend goes first."""
    errors = answer.errors or (
        FleetError(code="InsufficientInstanceCapacity", message="the fleet gave no machine"),
    )
    refusals = [error_for_code(item.code, item.message, "ec2:CreateFleet") for item in errors]
    ours = [refusal for refusal in refusals if isinstance(refusal, RefusedError)]
    for kind in _TELLING:
        for refusal in ours:
            if isinstance(refusal, kind):
                return refusal
    return ours[0]
