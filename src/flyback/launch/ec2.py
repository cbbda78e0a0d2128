"""The ec2 engine: one spot machine for one run.

Everything that the machine will read is stored before the machine is asked for, the request itself
first of all: whoever finds launch.json can replay it with the same client token.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flyback.aws.session import Session
from flyback.errors import CapacityError, UserError
from flyback.launch.archive import Archive
from flyback.launch.daybook import claim
from flyback.launch.deployment import Deployment
from flyback.launch.fleet import Site
from flyback.launch.lease import arm_guardian, hold, release
from flyback.launch.preflight import (
    allowed_by_quota,
    check_spot_role,
    warn_of_private_network,
)
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.launch.secrets import check_secrets
from flyback.launch.tries import Tries, markets_of, request_for
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
    """Turns a plan into a machine that runs it.

    Args:
        session: The account.
        deployment: What is deployed there.
        clock: What waits wait on.
        report: Told each step.
        rehearsed: Whether the account is an emulated one.
        max_usd_per_day: What all runs of a day may cost together, USD; None: no cap.
    """

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        clock: Clock,
        report: Report,
        *,
        rehearsed: bool = False,
        max_usd_per_day: float | None = None,
    ) -> None:
        self._max_usd_per_day = max_usd_per_day
        self._session = session
        self._rehearsed = rehearsed
        self._deployment = deployment
        self._clock = clock
        self._report = report

    def launch(
        self,
        plan: Plan,
        site: Site,
        payload: Payload,
        records: Records,
        earlier: tuple[Attempt, ...] = (),
    ) -> Launch:
        """Look first, then store the request, then ask, as often as the job's policy says.

        Args:
            plan: What to ask for.
            site: Where, and from which image, as they are now.
            payload: What travels to the machine.
            records: The run's files.
            earlier: Tries that other regions have refused.

        Raises:
            CapacityError: no machine within the job's attempts.
            RefusedError: quota, permission or account set-up; as far as that can be known before,
                nothing was created.
        """
        markets = markets_of(plan)
        if not markets:
            raise CapacityError("the job's spot policy allows no attempt")
        check_secrets(self._session, plan.job, self._report)
        warn_of_private_network(self._deployment, plan, self._report)
        if "spot" in markets:
            check_spot_role(self._session, self._report)
        allowed = allowed_by_quota(self._session, plan, markets, self._report)
        markets = [market for market in markets if allowed[market].plan.candidates]
        launch = self._draft(plan, payload, records, site, earlier)
        first = allowed[markets[0]].plan
        number = len(earlier) + 1
        request = request_for(first, launch, site, number=number, market=markets[0])
        self._session.ec2.check_fleet(request)
        self._send(payload, records.remote)
        # from here on somebody else ends what is left of this run, whatever becomes of us
        hold(records.remote, launch.run_id, lambda there: _first(launch, there))
        self._claim(launch, plan, records.remote)
        records.write(records.paths.job, plan.job)
        records.write(records.paths.plan, plan)
        arm_guardian(self._session, self._deployment.place, launch.run_id, launch.deadline)
        tries = Tries(
            session=self._session,
            clock=self._clock,
            report=self._report,
            records=records,
            site=site,
            allowed=allowed,
        )
        return tries.until_granted(launch, markets)

    def _claim(self, launch: Launch, plan: Plan, store: Store) -> None:
        """Others may have been launched since the plan was made.

        Raises:
            UserError: what they leave of the day's cap does not pay for this run.
        """
        at, cap = launch.created_at, self._max_usd_per_day
        try:
            claim(store, at, launch.run_id, plan.ceiling_usd, cap=cap)
        except UserError:
            release(self._session, store, self._deployment.place.group, launch.run_id, 0)
            raise

    def _draft(
        self,
        plan: Plan,
        payload: Payload,
        records: Records,
        site: Site,
        earlier: tuple[Attempt, ...],
    ) -> Launch:
        now = self._clock.now()
        return Launch(
            run_id=records.paths.run_id,
            job=plan.job,
            engine="ec2",
            region=self._session.region,
            store=self._deployment.store_url,
            log_group=self._deployment.log_group,
            image_id=site.image.image_id,
            image_parameter=AMI_PARAMETER,
            bundle_sha256=payload.bundle_sha256,
            workdir_sha256=payload.archive.sha256 if payload.archive else None,
            created_at=now,
            deadline=float(int(now + plan.deadline_hours * 3600)),
            attempts=earlier,
            rehearsed=self._rehearsed,
            place=self._deployment.place,
            public_address=not self._deployment.private,
            network_gbps={
                c.instance_type: c.network_gbps for c in plan.candidates if c.network_gbps
            },
        )

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


def _first(launch: Launch, there: Launch | None) -> Launch:
    """A launch that is to be held; one that was cut off before it asked for anything is no other.

    Raises:
        UserError: another run has the id.
    """
    if there is not None and any(item.region == launch.region for item in there.attempts):
        raise UserError(
            "another run of this deployment has this run id and goes on",
            where=f"run {launch.run_id}",
            remedy="choose another id, or leave it out",
        )
    return launch
