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
    NetworkError,
    PriceError,
    QuotaError,
    RefusedError,
    ServiceError,
)
from flyback.launch.daybook import commit
from flyback.launch.fleet import Site, Ticket, fleet_request
from flyback.launch.lease import arm_machine, attempted, release, stem
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
    "moves_on",
    "refusals_of",
    "request_for",
    "unheard",
]

PAUSE_S = 15.0
"""Seconds between tries: stocks change in minutes, not at once."""
# What holds for every pool: whichever of them says so, trying again can't mend it.
_FOR_ALL = (AccessDeniedError, AccountSetupError, ImageError)
# Failures on EC2's own side, which pass (EC2 user guide, "Server error codes").
_PASSES = frozenset(
    {
        *("InternalError", "InternalFailure", "InternalServerError", "ServerInternal"),
        *("RequestLimitExceeded", "ServiceUnavailable", "Throttling", "Unavailable"),
    }
)
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
        token=f"{stem(launch.run_id)}-{number}",
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

        Capacity and price move on to the next try; what no further try can mend stops at once.

        Raises:
            CapacityError: no try found one.
            ServiceError: EC2's answer was lost: the stored attempt stays without one.
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
            if not moves_on(refusal):
                raise explained(self.session, self.allowed[market].plan, market, refusal)
        count = f"{len(markets)} attempts" if len(markets) > 1 else "1 attempt"
        raise _retold(refusal, f"no machine in {count}; the last was refused with {refusal.what}")

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
        launch = self._write(launch)
        try:
            answer = self.session.ec2.create_fleet(request, launch.run_id)
        except RefusedError as error:
            raise unheard(error, launch.run_id) from error
        zones = {subnet.subnet_id: subnet.zone for subnet in self.site.subnets}
        refusals = (*attempt.refusals, *refusals_of(answer, zones))
        if answer.instance_ids:
            return self._granted(launch, answer, refusals), None
        refusal = most_telling(answer)
        self._tell(answer, zones, refusal)
        return self._noted(launch, refusals=refusals), refusal

    def _tell(self, answer: FleetAnswer, zones: Mapping[str, str], most: RefusedError) -> None:
        """Report the pools that fail for another reason than the one that is acted upon."""
        for error in answer.errors:
            ours = _ours(error)
            if isinstance(ours, MOVES_ON) or ours.what == most.what:
                continue
            pool = f"{error.instance_type} in {zones.get(error.subnet_id, error.subnet_id)}"
            self.report("launch", f"passed over {pool}: {ours.what}")

    def _granted(
        self, launch: Launch, answer: FleetAnswer, refusals: tuple[Refusal, ...]
    ) -> Launch:
        """All from the fleet's own answer: for seconds, EC2 may not know the machine by its id."""
        instance_id, number = answer.instance_ids[0], launch.attempts[-1].number
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
            machine = (launch.run_id, number, instance_id)
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
        return self._write(launch)

    def _write(self, launch: Launch) -> Launch:
        """For the run's reader, and for the guardian; as it is held then."""
        self.records.write(self.records.paths.launch, launch)
        return attempted(self.records.remote, launch)


def let_go(session: Session, records: Records, launch: Launch, refusal: RefusedError) -> None:
    """Release a run that a region gave no machine: no schedule, no claim on the day's cap."""
    if _stays_open(launch, refusal):
        return
    if launch.place is not None:
        count = len(launch.attempts)
        release(session, records.remote, launch.place.group, launch.run_id, count)
    commit(records.remote, launch.created_at, launch.run_id, 0.0)


def moves_on(error: Exception) -> bool:
    """Whether another try, or another region, may mend it."""
    if isinstance(error, ServiceError):
        return error.code in _PASSES
    return isinstance(error, MOVES_ON)


def unheard(error: RefusedError, run_id: str) -> RefusedError:
    """The same error, saying that nobody knows whether there is a machine, and who finds out."""
    remedy = f"{error.remedy}. " if error.remedy else ""
    remedy += (
        f"Whether there is a machine is unknown: `flyback attach {run_id}` finds it by its tags, "
        "or asks again with the same token"
    )
    return _retold(error, f"EC2's answer was lost: {error.what}", remedy)


def _retold(refusal: RefusedError, what: str, remedy: str | None = None) -> RefusedError:
    more = {"code": refusal.code} if isinstance(refusal, ServiceError) else {}
    remedy = refusal.remedy if remedy is None else remedy
    return type(refusal)(what, where=refusal.where, remedy=remedy, **more)


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

    It may where nobody knows what EC2 did with the request, and where something else than EC2's
    answer came between. So it may where a permission is missing: once it is granted.
    """
    if isinstance(refusal, AccessDeniedError):
        return True
    if not launch.attempts:  # nothing was asked yet
        return isinstance(refusal, ServiceError)
    attempt = launch.attempts[-1]
    if attempt.instance_id or not attempt.is_answered:
        return True
    answers = {each.code for each in attempt.refusals}
    return isinstance(refusal, ServiceError) and refusal.code not in answers


def refusals_of(answer: FleetAnswer, zones: Mapping[str, str]) -> tuple[Refusal, ...]:
    """The pools that a fleet passed over, as they are written down.

    Args:
        answer: The fleet's.
        zones: Availability zones by subnet, as far as they are known.
    """
    return tuple(_refusal_of_pool(error, zones) for error in answer.errors)


def _refusal_of_pool(error: FleetError, zones: Mapping[str, str]) -> Refusal:
    return Refusal(
        kind=_ours(error).kind,
        code=error.code,
        message=error.message,
        instance_type=error.instance_type,
        zone=zones.get(error.subnet_id, ""),
    )


def most_telling(answer: FleetAnswer) -> RefusedError:
    """The error of a fleet that gave nothing: one that no further try can mend goes first.

    A pool that fails for a reason of its own (a subnet without addresses, a code that nobody knows)
    is passed over as long as another may come free; so is a type that a quota forbids.
    """
    told = [(error, _ours(error)) for error in answer.errors]
    forbidden = {error.instance_type for error, ours in told if isinstance(ours, QuotaError)}
    may_come = {error.instance_type for error, ours in told if moves_on(ours)} - forbidden
    _, found = min(told, key=lambda item: _rank(item[1], others_may_come=bool(may_come)))
    return found


def _rank(refusal: RefusedError, *, others_may_come: bool) -> int:
    if isinstance(refusal, _FOR_ALL):
        return _FOR_ALL.index(next(kind for kind in _FOR_ALL if isinstance(refusal, kind)))
    if isinstance(refusal, QuotaError):
        return 6 if others_may_come else 3
    if moves_on(refusal):
        return 4 if isinstance(refusal, MOVES_ON) else 5
    return 7 if isinstance(refusal, NetworkError) else 8


def _ours(error: FleetError) -> RefusedError:
    found = error_for_code(error.code, error.message, "ec2:CreateFleet")
    assert isinstance(found, RefusedError), "an answer of EC2 is one"  # noqa: S101  # ours
    return found
