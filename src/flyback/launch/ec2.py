"""The ec2 engine: one spot machine for one run.

Everything that the machine will read is stored before the machine is asked for, the request itself
first of all: whoever finds launch.json can replay it with the same client token.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.aws.ec2 import FleetAnswer, FleetError
from flyback.aws.errors import error_for_code
from flyback.aws.session import Session
from flyback.errors import CapacityError, FlybackError
from flyback.launch.archive import Archive
from flyback.launch.deployment import Deployment
from flyback.launch.fleet import Site, Ticket, fleet_request
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.spec.clock import Clock
from flyback.spec.launch import Attempt, Launch
from flyback.spec.paths import bundle_key, workdir_key
from flyback.spec.plan import Plan
from flyback.store.protocol import Store

__all__ = ["AMI_PARAMETER", "Ec2Executor", "Payload"]

AMI_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What travels to the machine: the agent bundle, and the working directory if any."""

    bundle: Path
    bundle_sha256: str
    archive: Archive | None


class Ec2Executor:
    """Turns a plan into a machine that runs it."""

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        clock: Clock,
        report: Report,
        *,
        rehearsed: bool = False,
    ) -> None:
        self._session = session
        self._rehearsed = rehearsed
        self._deployment = deployment
        self._clock = clock
        self._report = report

    def launch(self, plan: Plan, payload: Payload, records: Records) -> Launch:
        """Store the request, then ask; spot attempts first, then as the job's policy says.

        Raises:
            CapacityError: no machine within the job's attempts.
            QuotaError: the account may not have one.
        """
        image_id = self._session.parameters.get(AMI_PARAMETER)
        site = Site(
            deployment=self._deployment,
            subnets=self._session.ec2.subnets(self._deployment.subnets),
            image=self._session.ec2.image(image_id),
        )
        now = self._clock.now()
        launch = Launch(
            run_id=records.paths.run_id,
            job=plan.job,
            engine="ec2",
            region=self._session.region,
            store=self._deployment.store_url,
            log_group=self._deployment.log_group,
            image_id=image_id,
            image_parameter=AMI_PARAMETER,
            bundle_sha256=payload.bundle_sha256,
            workdir_sha256=payload.archive.sha256 if payload.archive else None,
            created_at=now,
            deadline=float(int(now + plan.deadline_hours * 3600)),
            rehearsed=self._rehearsed,
        )
        _request(plan, launch, site)  # an impossible one is refused before anything is stored
        self._send(payload, records.remote)
        records.write(records.paths.job, plan.job)
        records.write(records.paths.plan, plan)
        return self._try_markets(plan, launch, records, site)

    def _send(self, payload: Payload, store: Store) -> None:
        present = {item.key for item in store.list("bundles/")}
        key = bundle_key(payload.bundle_sha256)
        if key not in present:
            megabytes = payload.bundle.stat().st_size / 1e6
            self._report("launch", f"uploading the agent bundle ({megabytes:.1f} MB)")
            store.put_file(key, payload.bundle)
        if payload.archive is not None:
            size = len(payload.archive.data) / 1e6
            self._report("launch", f"uploading {payload.archive.files} files ({size:.1f} MB)")
            store.put(workdir_key(payload.archive.sha256), payload.archive.data)

    def _try_markets(self, plan: Plan, launch: Launch, records: Records, site: Site) -> Launch:
        spot = plan.job.spot
        markets = ["spot"] * spot.attempts if plan.market == "spot" else []
        if spot.then == "on-demand" or plan.market == "on-demand":
            markets.append("on-demand")
        refusal: FlybackError | None = None
        for number, market in enumerate(markets, start=1):
            request = _request(plan, launch, site, number=number, market=market)
            attempt = Attempt(
                number=number, token=request["ClientToken"], market=market, request=request
            )
            launch = dataclasses.replace(launch, attempts=(*launch.attempts, attempt))
            records.write(records.paths.launch, launch)
            answer = self._session.ec2.create_fleet(request, launch.run_id)
            if answer.instance_ids:
                return self._granted(launch, answer, records, site)
            refusal = _refusal(answer)
            self._report("launch", f"attempt {number} ({market}): {refusal.what}")
            if not isinstance(refusal, CapacityError):
                break
        raise refusal or CapacityError("the job's spot policy allows no attempt")

    def _granted(self, launch: Launch, answer: FleetAnswer, records: Records, site: Site) -> Launch:
        """All from the fleet's own answer: for seconds, EC2 may not know the machine by its id."""
        instance_id = answer.instance_ids[0]
        zones = {subnet.subnet_id: subnet.zone for subnet in site.subnets}
        current = dataclasses.replace(
            launch.attempts[-1],
            instance_id=instance_id,
            instance_type=answer.instance_type,
            zone=zones.get(answer.subnet_id or ""),
            launched_at=self._clock.now(),
        )
        launch = dataclasses.replace(launch, attempts=(*launch.attempts[:-1], current))
        records.write(records.paths.launch, launch)
        self._report(
            "launch",
            f"{instance_id}: {current.market} {current.instance_type} in {current.zone}",
        )
        return launch


def _request(
    plan: Plan, launch: Launch, site: Site, *, number: int = 1, market: str = "spot"
) -> dict[str, Any]:
    ticket = Ticket(
        run_id=launch.run_id,
        attempt=number,
        token=f"{launch.run_id[-58:]}-{number}",  # at most 64 characters
        market=market,
        deadline=int(launch.deadline),
        bundle_sha256=launch.bundle_sha256,
    )
    return fleet_request(plan, ticket, site)


def _refusal(answer: FleetAnswer) -> FlybackError:
    """The most telling of a fleet's errors: one that trying again can't mend goes first."""
    errors = answer.errors or (
        FleetError(code="InsufficientInstanceCapacity", message="the fleet gave no machine"),
    )
    refusals = [error_for_code(item.code, item.message, "ec2:CreateFleet") for item in errors]
    refusals.sort(key=lambda refusal: isinstance(refusal, CapacityError))
    return refusals[0]
